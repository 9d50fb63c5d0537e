from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame
from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop
from backend.meshes.texturing.unseen_colour.picture_islands import WORK_PX, Regions
from backend.meshes.texturing.unseen_colour.picture_view import Facing, GivenPicture, PictureView
from backend.meshes.texturing.unseen_colour.through_projection import shows_through, turned_away
from tests.meshes.solids import disc_mask, sphere
from tests.meshes.texturing.unseen_colour.plates import graph_of

SIDE = 128
RED, DARK = (200, 60, 60), (10, 10, 10)


class Ball:
    """A ball with a dark disc on its front; red has spread over its back.

    The colours by number are those of four quarters, with the disc in a fifth.
    """

    def __init__(self) -> None:
        mask, disc = disc_mask(SIDE, 50), disc_mask(SIDE, 20)
        rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
        rgb[disc] = DARK
        frame = PictureFrame(63.5, 63.5, 1 / 100)
        mesh = sphere(0.5, 4)
        self.view = PictureView(GivenPicture(rgb, mask, frame), mesh, 1.0, Facing())
        self.graph = graph_of(mesh)
        self.away = turned_away(self.view, self.graph.normals)
        pixels = self.view.pixels(self.graph.points)
        self.from_middle_px = np.linalg.norm(pixels - 63.5, axis=1)
        self.islands = np.zeros(mask.shape, dtype=np.float32)
        self.around = np.zeros_like(self.islands)
        self.beyond = np.zeros_like(self.away)
        quarters = np.ones((SIDE, SIDE), dtype=np.int32)
        quarters[:64, 64:], quarters[64:, :64], quarters[64:, 64:] = 2, 3, 4
        quarters[disc] = 5
        quarters[~mask] = 0
        self.labels = quarters

    def shown(self) -> np.ndarray:
        """The nodes that show through."""
        none = np.zeros_like(self.islands)
        small = PictureCrop.of(self.view.core, WORK_PX).small(self.labels)
        regions = Regions(self.islands, self.around, none, np.rint(small).astype(np.int32))
        diffused = np.tile(np.array(RED, dtype=np.float64), (len(self.graph.points), 1))
        return shows_through(
            self.view, regions, self.graph, self.graph.points, self.away, self.beyond, diffused
        )

    def within(self, first_px: float, last_px: float) -> np.ndarray:
        """The nodes of the back so far from the middle of the picture."""
        return self.away & (self.from_middle_px > first_px) & (self.from_middle_px < last_px)


@pytest.fixture
def ball():
    return Ball()


def test_what_agrees_with_the_colours_that_spread_shows_through(ball):
    shown = ball.shown()
    assert shown[ball.within(24, 45)].all()
    assert not shown[~ball.away].any()


def test_what_differs_shows_through_where_no_colour_around_goes_on(ball):
    assert ball.shown()[ball.within(0, 16)].all()
    ball.labels[(ball.labels > 0) & (ball.labels < 4)] = 1
    assert not ball.shown()[ball.within(0, 16)].any()


def test_what_goes_round_shows_through_whatever_differs_but_not_past_another_body(ball):
    ball.labels[ball.labels > 0] = 1  # one colour around, which would close a gap
    assert not ball.shown()[ball.within(0, 16)].any()
    ball.around[:] = 1
    assert ball.shown()[ball.within(0, 16)].all()
    ball.beyond[:] = True
    assert not ball.shown()[ball.within(0, 16)].any()
    assert ball.shown()[ball.within(24, 45)].all()  # it agrees with what spreads


def test_an_island_never_shows(ball):
    ball.islands[disc_mask(SIDE, 9)] = 1
    shown = ball.shown()
    assert not shown[ball.within(0, 6)].any()
    assert shown[ball.within(11, 16)].all()


def test_an_island_amid_a_gap_tells_nothing_of_what_closes_it(ball):
    ball.islands[disc_mask(SIDE, 17)] = 1
    ball.labels[disc_mask(SIDE, 17)] = 1
    assert ball.shown()[ball.within(18, 20)].any()


def test_without_colours_by_number_what_differs_is_hidden(ball):
    ball.labels = np.zeros((SIDE, SIDE), dtype=np.int32)
    shown = ball.shown()
    assert shown[ball.within(24, 45)].all()
    assert not shown[ball.within(0, 16)].any()
