"""Figures of layouts with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.charts.layout_quality import layout_quality
from backend.meshes.texturing.surface_layout import SurfaceLayout

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)


def layout(uv: object, faces: np.ndarray = FACES) -> SurfaceLayout:
    places = np.asarray(uv, dtype=np.float32)
    return SurfaceLayout(np.arange(len(places)) % 4, places, faces)


def test_a_scaled_copy_has_no_stretch():
    found = layout_quality(SQUARE, layout(SQUARE[:, :2] / 2), 64)

    assert found.charts == 1
    assert found.stretch == pytest.approx(1)
    assert found.anisotropy == pytest.approx(1)
    assert found.texel_use == pytest.approx(0.25)
    assert found.overlap == 0
    assert found.mirrored == 0


def test_a_square_squeezed_to_half_its_width():
    found = layout_quality(SQUARE, layout(SQUARE[:, :2] * [0.5, 1]), 64)

    assert found.anisotropy == pytest.approx(2)
    # singular values 1 and 2 of the map to the surface, and half of the area
    assert found.stretch == pytest.approx(np.sqrt((1 + 4) / 2 / 2))


def test_two_faces_in_one_place_overlap_everywhere():
    one = SQUARE[:3, :2]
    faces = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)
    found = layout_quality(SQUARE, layout(np.concatenate([one, one]), faces), 64)

    assert found.charts == 2
    assert found.overlap == 1
    assert found.texel_use == pytest.approx(0.5, abs=0.01)


def test_mirrored_faces_are_counted():
    found = layout_quality(SQUARE, layout(SQUARE[:, :2] * [-1, 1] + [1, 0]), 64)

    assert found.mirrored == 2
    assert found.stretch == pytest.approx(1)


def test_nothing_is_known_of_a_layout_without_area():
    found = layout_quality(SQUARE, layout(np.full((4, 2), 0.5)), 64)

    assert found.stretch is None
    assert found.anisotropy is None
    assert found.overlap is None
    assert found.texel_use == 0
