from __future__ import annotations

import numpy as np
import pytest

from backend.errors import NoSurfaceFound
from backend.meshes.height_field import inflated, slab
from backend.meshes.inflation_surface import (
    luminance_relief,
    round_surface,
    sample_outline,
    signed_distance,
    slab_surface,
)
from tests.meshes.solids import disc_mask


def _outline(mask, height, resolution=48, relief=None):
    flat = np.zeros(mask.shape, dtype=np.float32)
    return sample_outline(mask, height, flat if relief is None else relief, resolution)


def test_a_disc_becomes_a_closed_ball_of_about_its_size():
    mask = disc_mask(96, 30)
    mesh = round_surface(_outline(mask, inflated(mask)))
    assert mesh.is_closed()
    assert mesh.extents[:2] == pytest.approx([60, 60], abs=2.5)
    assert 0.75 * 60 < mesh.extents[2] < 60


def test_a_hole_stays_a_hole():
    mask = disc_mask(128, 50) & ~disc_mask(128, 20)
    mesh = round_surface(_outline(mask, inflated(mask)))
    edges = len(mesh.faces) * 3 // 2
    assert mesh.is_closed()
    assert len(mesh.vertices) - edges + len(mesh.faces) == 0  # Euler number of a torus


def test_an_object_that_fills_the_picture_is_closed():
    mask = np.ones((40, 60), dtype=bool)
    assert round_surface(_outline(mask, inflated(mask))).is_closed()


def test_a_slab_is_closed_and_has_its_thickness():
    mask = np.zeros((80, 80), dtype=bool)
    mask[20:60, 10:70] = True
    height = slab(mask, 1.0)
    mesh = slab_surface(_outline(mask, height))
    assert mesh.is_closed()
    assert mesh.extents[2] == pytest.approx(2 * height.max(), rel=0.1)


def test_an_empty_mask_has_no_surface():
    empty = np.zeros((20, 20), dtype=bool)
    with pytest.raises(NoSurfaceFound):
        _outline(empty, np.zeros((20, 20)))


def test_the_distance_is_positive_inside():
    distance = signed_distance(disc_mask(96, 30), blur_px=1.0)
    assert distance[48, 48] == pytest.approx(30, abs=2.5)
    assert distance[2, 2] < 0


def test_bright_spots_rise_on_the_front_alone():
    mask = disc_mask(128, 50)
    rgb = np.full((128, 128, 3), 60, dtype=np.uint8)
    rgb[disc_mask(128, 5)] = 255
    relief = luminance_relief(rgb, mask, 100)
    assert relief[64, 64] > 0.2
    assert (relief[~mask] == 0).all()
    mesh = round_surface(_outline(mask, inflated(mask), relief=relief))
    assert mesh.vertices[:, 2].max() > -mesh.vertices[:, 2].min()
