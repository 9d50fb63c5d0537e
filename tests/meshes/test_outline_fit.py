from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame
from backend.meshes.outline_fit import fit_outline, turned_to_front
from backend.meshes.render import covered_pixels
from tests.meshes.solids import box, sphere, together


def lamp():
    """Taller than wide, with a foot to its right, so that no side looks like another."""
    return together(
        box((0.3, 1.0, 0.2), (0.0, 0.5, 0.0)),
        box((0.5, 0.1, 0.4), (0.25, 0.05, 0.1)),
        sphere(0.25, 2).with_vertices(sphere(0.25, 2).vertices + np.float32([0, 1.1, 0])),
    )


@pytest.mark.parametrize(
    "frame", [PictureFrame(80.3, 150.7, 1 / 90), PictureFrame(120, 180, 1 / 41.5)]
)
def test_the_frame_of_a_picture_is_found_to_a_fraction_of_a_pixel(frame):
    mask = covered_pixels(lamp(), frame, (200, 220))
    fit = fit_outline(lamp(), mask)
    assert fit.overlap > 0.97
    points = lamp().vertices
    off = np.abs(fit.frame.to_pixels(points) - frame.to_pixels(points)).max()
    assert off < 1.0, "pixels"


def test_a_few_pixels_too_many_do_not_move_the_whole_picture():
    frame = PictureFrame(80, 150, 1 / 90)
    mask = covered_pixels(lamp(), frame, (200, 220))
    mask[70:73, 10:60] = True  # a line to the left
    fit = fit_outline(lamp(), mask)
    points = lamp().vertices
    assert np.abs(fit.frame.to_pixels(points) - frame.to_pixels(points)).max() < 4


def test_another_object_agrees_badly():
    mask = np.zeros((200, 220), dtype=bool)
    mask[90:100, 10:210] = True
    assert fit_outline(lamp(), mask).overlap < 0.4


@pytest.mark.parametrize(("azimuth_deg", "towards"), [
    (0, (0, 0, 1)), (90, (1, 0, 0)), (180, (0, 0, -1)), (270, (-1, 0, 0)),
])  # fmt: skip
def test_the_side_that_is_asked_for_faces_the_viewer(azimuth_deg, towards):
    mesh = box().with_vertices(np.array([towards, (0, 1, 0)], dtype=np.float32))
    turned = turned_to_front(mesh, azimuth_deg).vertices
    np.testing.assert_allclose(turned, [(0, 0, 1), (0, 1, 0)], atol=1e-7)


def test_a_picture_of_another_side_fits_that_side_best():
    side = turned_to_front(lamp(), 90)
    mask = covered_pixels(side, PictureFrame(100, 180, 1 / 100), (220, 200))
    overlaps = {
        azimuth: fit_outline(turned_to_front(lamp(), azimuth), mask).overlap
        for azimuth in (0, 90, 180, 270)
    }
    assert max(overlaps, key=overlaps.get) == 90
    assert overlaps[90] > 0.97
