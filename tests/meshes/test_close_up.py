from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.close_up import close_up
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import disc_mask


def _grey(mask):
    return np.full((*mask.shape, 3), 90, dtype=np.uint8)


def test_a_small_object_is_enlarged_smoothly():
    mask = disc_mask(200, 12, centre=(150, 40))
    near = close_up(_grey(mask), mask, 100)
    assert near.factor == 8
    assert near.mask.sum() == pytest.approx(mask.sum() * 64, rel=0.06)
    assert near.rgb.shape[:2] == near.mask.shape
    y, x = np.nonzero(near.mask)
    edge = np.hypot(y - y.mean(), x - x.mean()).max() / np.sqrt(near.mask.sum() / np.pi)
    assert edge < 1.05  # round, no steps


def test_the_mesh_goes_back_to_where_the_object_was():
    mask = disc_mask(200, 12, centre=(150, 40))
    near = close_up(_grey(mask), mask, 100)
    y, x = np.nonzero(near.mask)
    corners = np.array([[x.mean(), y.mean(), 80.0], [0, 0, 0], [8, 0, 0]])
    mesh = near.back_in_place(TriangleMesh(corners.astype(np.float32), np.array([[0, 1, 2]])))
    assert mesh.vertices[0] == pytest.approx([40, 150, 10], abs=0.1)
    assert mesh.vertices[2, 0] - mesh.vertices[1, 0] == pytest.approx(1)


def test_a_large_object_is_left_alone():
    mask = disc_mask(200, 90)
    rgb = _grey(mask)
    near = close_up(rgb, mask, 100)
    assert near.mask is mask
    assert near.rgb is rgb


def test_an_object_at_the_corner_and_an_empty_mask_work():
    mask = np.zeros((100, 100), dtype=bool)
    mask[:5, :5] = True
    assert close_up(_grey(mask), mask, 100).mask.any()
    empty = np.zeros((100, 100), dtype=bool)
    assert not close_up(_grey(empty), empty, 100).mask.any()


def test_a_strand_of_one_pixel_survives():
    mask = disc_mask(100, 6)
    mask[50, 30:70] = True
    near = close_up(_grey(mask), mask, 100)
    assert near.factor > 2
    columns = near.mask.any(axis=0).sum() / near.factor
    assert columns == pytest.approx(40, abs=3)
