from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame
from backend.meshes.texturing.unseen_colour.picture_view import (
    Facing,
    GivenPicture,
    PictureView,
    sampled,
)
from tests.meshes.solids import box, disc_mask, sphere, together

SIDE = 128
FRAME = PictureFrame(63.5, 63.5, 1 / 100)  # 100 px per unit, the origin in the middle


def _view(mesh, mask, azimuth_deg=0.0, rgb=None):
    rgb = np.full((*mask.shape, 3), 120, np.uint8) if rgb is None else rgb
    given = GivenPicture(rgb, mask, FRAME, azimuth_deg)
    return PictureView(given, mesh, 1.0, Facing())


def _seen(view, *points):
    places = np.array(points, dtype=np.float64)
    return view.seen(places, places / np.linalg.norm(places, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("azimuth_deg", "front"), [(0, (0, 0, 0.5)), (90, (0.5, 0, 0)), (180, (0, 0, -0.5))]
)
def test_a_picture_shows_the_side_it_was_taken_from(azimuth_deg, front):
    view = _view(sphere(0.5, 4), disc_mask(SIDE, 50), azimuth_deg)
    behind = tuple(-value for value in front)
    assert _seen(view, front, behind, (0, 0.5, 0)).tolist() == [1, 0, 0]


def test_left_and_right_of_a_side_picture():
    rgb = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    rgb[:, :64] = 250
    view = _view(sphere(0.5, 4), disc_mask(SIDE, 50), 90.0, rgb)
    shown = view.colours_at(np.array([[0.4, 0, 0.3], [0.4, 0, -0.3]]))
    assert shown[:, 0].tolist() == [250, 0]  # seen from +X, +Z is on the left


def test_what_is_left_out_takes_the_colour_beside_it_even_when_blurred():
    rgb = np.full((SIDE, SIDE, 3), 250, dtype=np.uint8)
    rgb[disc_mask(SIDE, 9)] = 0
    view = _view(sphere(0.5, 4), disc_mask(SIDE, 50), 0, rgb)
    places = np.array([[0, 0, 0.5], [0.1, 0, 0.4]])
    left_out = disc_mask(SIDE, 11).astype(np.float32)
    assert (view.colours_at(places, 3.0, left_out) == 250).all()
    assert (view.colours_at(places, 3.0) < 240).all()


def test_what_something_hides_is_not_seen_nor_what_is_beside_an_edge():
    board, ball = box((1.0, 1.0, 0.1), (0, 0, 0)), sphere(0.15, 3)
    ball = ball.with_vertices(ball.vertices + np.array([0, 0, 0.4]))
    view = _view(together(board, ball), np.pad(np.ones((100, 100), bool), 14))
    places = np.array([[0, 0, 0.05], [0.152, 0, 0.05], [0.3, 0, 0.05], [0, 0, 0.55]])
    facing = np.tile([0.0, 0.0, 1.0], (4, 1))
    assert view.seen(places, facing).tolist() == [0, 0, 1, 1]
    assert not view.whole_regions()[63, 63 + 15]
    assert view.whole_regions()[63, 63]


def test_slats_too_narrow_to_trust_are_seen_where_nothing_else_is():
    rows = np.arange(-0.495, 0.5, 0.01)
    depths = 0.1 * (np.arange(len(rows)) % 2)
    slats = [box((1.0, 0.01, 0.02), (0, y, z)) for y, z in zip(rows, depths, strict=True)]
    view = _view(together(*slats), np.pad(np.ones((100, 100), bool), 14))
    places = np.array([(0, y, z + 0.01) for y, z in zip(rows, depths, strict=True)])
    seen = view.seen(places, np.tile([0.0, 0.0, 1.0], (len(rows), 1)))
    assert seen[5:-5].tolist() == [1] * (len(rows) - 10)


def test_places_beside_the_object_or_the_picture_are_not_seen():
    ball = sphere(0.5, 4)
    view = _view(ball, disc_mask(SIDE, 30))
    assert _seen(view, (0.0, 0.1, 0.49), (0.3, 0.2, 0.34)).tolist() == [1, 0]
    far = PictureFrame(400.0, 63.5, 1 / 100)
    mask = np.ones((SIDE, SIDE), bool)
    view = PictureView(
        GivenPicture(np.zeros((SIDE, SIDE, 3), np.uint8), mask, far), ball, 1.0, Facing()
    )
    assert _seen(view, (0, 0, 0.5)).tolist() == [0]


def test_the_inside_of_a_cup_is_not_seen_from_behind():
    shell, core = sphere(0.5, 4), sphere(0.4, 4)
    view = _view(together(shell, core), disc_mask(SIDE, 50))
    assert view.outermost_behind(np.array([[0, 0, -0.5], [0, 0, -0.4]])).tolist() == [True, False]


def test_the_ramp_of_a_facing_is_smooth():
    weights = Facing(0.2, 0.4).weight(np.array([-1, 0.2, 0.3, 0.4, 1.0]))
    assert weights == pytest.approx([0, 0, 0.5, 1, 1])


def test_look_ups_take_pixel_centres_and_end_at_the_border():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    places = np.array([[0, 0], [3, 2], [0.5, 1], [-9, 0], [9, 9]])
    assert sampled(image, places) == pytest.approx([0, 11, 4.5, 0, 11])
    many = np.tile([[1.0, 2.0]], (5000, 1))
    assert (sampled(image, many) == 9).all()
    assert sampled(image, np.zeros((0, 2))).shape == (0,)
