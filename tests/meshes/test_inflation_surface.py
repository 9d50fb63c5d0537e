from __future__ import annotations

import numpy as np
import pytest

from backend.errors import NoSurfaceFound
from backend.meshes.height_field import inflated, lathed, slab
from backend.meshes.inflation_surface import (
    luminance_relief,
    round_surface,
    sample_outline,
    slab_surface,
    squared_height,
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


def test_a_ball_is_smooth_up_to_its_rim():
    """Stairs of pixels at the outline and rings of cells at the sides would tilt the faces."""
    for mask in (disc_mask(300, 120), disc_mask(301, 97)):
        mesh = round_surface(_outline(mask, lathed(mask), resolution=96))
        normals, middles = _faces(mesh)
        middles -= mesh.vertices.mean(axis=0)
        outwards = middles / np.linalg.norm(middles, axis=1, keepdims=True)
        tilt_deg = np.degrees(np.arccos(np.clip(np.abs(np.sum(normals * outwards, axis=1)), 0, 1)))
        assert np.mean(tilt_deg) < 1.0
        assert np.percentile(tilt_deg, 99) < 4.0


def test_the_squared_height_is_zero_at_the_outline_and_true_further_in():
    mask = disc_mask(300, 120)
    outline = _outline(mask, lathed(mask), resolution=96)
    squared = squared_height(outline)
    assert ((squared > 0) == (outline.distance > 0)).all()
    inner = outline.distance > 60
    assert squared[inner] == pytest.approx(outline.height[inner] ** 2, rel=1e-3)


def test_a_thin_strand_keeps_its_thickness_beside_a_thick_body():
    mask = disc_mask(300, 60)
    mask[147:153, 20:280] = True
    height = inflated(mask)
    outline = _outline(mask, height, resolution=120)
    column = round((30 - outline.origin[0]) / outline.cell_px)
    row = round((149.5 - outline.origin[1]) / outline.cell_px)
    assert np.sqrt(squared_height(outline)[row, column]) == pytest.approx(height[149, 30], rel=0.35)


def _faces(mesh):
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    large = np.linalg.norm(normals, axis=1) > 0.02 * np.median(np.linalg.norm(normals, axis=1))
    normals = normals[large] / np.linalg.norm(normals[large], axis=1, keepdims=True)
    return normals, corners[large].mean(axis=1)


def test_bright_spots_rise_on_the_front_alone():
    mask = disc_mask(128, 50)
    rgb = np.full((128, 128, 3), 60, dtype=np.uint8)
    rgb[disc_mask(128, 5)] = 255
    relief = luminance_relief(rgb, mask, 100)
    assert relief[64, 64] > 0.2
    assert (relief[~mask] == 0).all()
    mesh = round_surface(_outline(mask, inflated(mask), relief=relief))
    assert mesh.vertices[:, 2].max() > -mesh.vertices[:, 2].min()
