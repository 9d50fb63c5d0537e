from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame
from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.texturing.unseen_colour.finer_surface import finer
from backend.meshes.texturing.unseen_colour.nearer_bodies import (
    BESIDE,
    behind_another_body,
    of_well_seen_bodies,
)
from backend.meshes.texturing.unseen_colour.picture_view import Facing, GivenPicture, PictureView
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph
from tests.meshes.solids import box, sphere, together

SIDE = 128
FRAME = PictureFrame(63.5, 63.5, 1 / 100)
POCKET = (box((0.4, 0.3, 0.1), (0.1, 0.0, 0.25)),)


class Shown:
    """Nodes of some bodies in a picture from the front."""

    def __init__(self, *bodies) -> None:
        mesh = together(*bodies)
        mesh, _ = finer(mesh, two_sided_layout(mesh))
        self.graph = SurfaceGraph.of(mesh, mesh.vertices.astype(np.float64))
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        given = GivenPicture(picture, np.ones((SIDE, SIDE), bool), FRAME)
        self.view = PictureView(given, mesh, 1.0, Facing())
        self.places = self.graph.points
        self.seen = self.view.seen(self.places, self.graph.normals) > 0.5

    def behind(self):
        everywhere = np.ones(len(self.places), bool)
        return behind_another_body(self.view, self.graph, self.places, everywhere, self.seen)


def test_of_a_bag_what_a_pocket_hides_is_behind_another_body():
    shown = Shown(box((0.9, 0.9, 0.4), (0, 0, 0)), *POCKET)
    x, y, z = shown.places.T
    on_back = z < -0.19
    shade = (np.abs(x - 0.1) < 0.2) & (np.abs(y) < 0.15)
    beside = (np.abs(x - 0.1) > 0.25) | (np.abs(y) > 0.2)
    behind = shown.behind()
    assert behind[on_back & shade].all()
    assert not behind[on_back & beside].any()
    assert not behind[(z > 0.29) & (np.abs(x - 0.1) < 0.15) & (np.abs(y) < 0.1)].any()


def test_pixels_into_which_the_other_body_runs_are_left_out_too():
    shown = Shown(box((0.9, 0.9, 0.4), (0, 0, 0)), *POCKET)
    x, y, z = shown.places.T
    reach = 0.98 * BESIDE * shown.graph.spacing
    rim = (z < -0.19) & (np.abs(y) < 0.1) & (x > 0.3) & (x < 0.3 + reach)
    assert rim.any()
    assert shown.behind()[rim].all()


@pytest.mark.parametrize(
    "bodies",
    [
        (sphere(0.4),),  # nothing else
        (box((0.9, 0.9, 0.1), (0, 0, 0.2)), box((0.9, 0.9, 0.1), (0, 0, -0.2))),  # a back half
        (sphere(0.2), box((0.1, 0.1, 0.1), (0.4, 0.4, 0))),  # beside each other
    ],
    ids=["alone", "never seen", "beside"],
)
def test_nothing_is_behind_where_no_better_guess_is_known(bodies):
    assert not Shown(*bodies).behind().any()


def test_a_cape_of_which_a_hem_shows_lies_behind_but_is_not_well_seen():
    shown = Shown(box((0.86, 0.86, 0.1), (0, 0, 0.2)), box((0.9, 0.9, 0.1), (0, 0, -0.2)))
    x, y, z = shown.places.T
    cape = z < -0.1
    assert shown.seen[cape].any()
    assert shown.behind()[cape & (np.abs(x) < 0.3) & (np.abs(y) < 0.3)].all()
    is_well_seen = of_well_seen_bodies(shown.graph, shown.seen)
    assert not is_well_seen[cape].any()
    assert is_well_seen[~cape].all()
