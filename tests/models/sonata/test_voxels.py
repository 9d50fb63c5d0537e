from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file

from backend.models.sonata.voxels import CELL_SIZE, voxel_cloud
from tests.models.sonata.sonata_golden import FOLDER, cloud, golden, random_points


def test_recorded_voxels_are_found_exactly():
    for name in ("feat", "grid_coord", "inverse"):
        found = {"feat": "features", "grid_coord": "cells"}.get(name, name)
        np.testing.assert_array_equal(getattr(cloud(), found), golden()[f"transform.{name}"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voxels_of_an_object_of_the_conditioner_are_found_exactly(dtype):
    recorded = load_file(FOLDER / "xpart_conditioner_tiny.safetensors")
    surface = recorded["in.object_surface"][0].numpy().astype(dtype)
    found = voxel_cloud(surface[:, :3], surface[:, 3:6], np.random.default_rng(0))
    np.testing.assert_array_equal(found.inverse, recorded["in.sonata_inverse"])
    np.testing.assert_array_equal(found.cells, recorded["in.sonata_selected_grid_coord"])


def test_given_arrays_are_not_changed():
    points, normals = random_points(50)
    before = points.copy(), normals.copy()
    voxel_cloud(points, normals, np.random.default_rng(0))
    np.testing.assert_array_equal(points, before[0])
    np.testing.assert_array_equal(normals, before[1])


def test_shifted_points_stand_on_the_ground_in_the_middle():
    points, normals = random_points(500)
    shifted = voxel_cloud(points + np.array([5, -7, 3]), normals, np.random.default_rng(0)).shifted
    lowest, highest = shifted.min(axis=0), shifted.max(axis=0)
    np.testing.assert_allclose((lowest + highest)[:2], 0, atol=1e-12)
    assert lowest[2] == 0
    np.testing.assert_allclose(np.diff(shifted, axis=0), np.diff(points, axis=0), atol=1e-12)


def test_every_voxel_is_a_point_of_its_own_cell():
    points, normals = random_points(3000)
    found = voxel_cloud(points * 10 * CELL_SIZE, normals, np.random.default_rng(3))
    assert len(found.cells) == len(np.unique(found.cells, axis=0)) < 3000
    assert found.cells.min() == 0
    lowest = np.floor(found.shifted / CELL_SIZE).min(axis=0)
    cells = np.floor(found.shifted / CELL_SIZE) - lowest
    np.testing.assert_array_equal(found.cells[found.inverse], cells)
    of_picked = np.floor(found.features[:, :3].astype(np.float64) / CELL_SIZE) - lowest
    assert np.mean((of_picked == found.cells).all(axis=1)) > 0.99  # but for rounding at borders
    assert (found.features[:, 3:6] == np.float32(1 / 255)).all()


def test_the_generator_alone_picks():
    points, normals = random_points(3000)
    points *= 10 * CELL_SIZE
    first, again, other = (
        voxel_cloud(points, normals, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.cells, other.cells)
    assert (first.features != other.features).any()


def test_every_point_of_a_cell_may_be_picked():
    points = np.zeros((4, 3))
    points[:, 2] = np.arange(4) * CELL_SIZE / 8
    normals = np.eye(4)[:, :3]
    rng = np.random.default_rng(0)
    picked = {voxel_cloud(points, normals, rng).features[0, :3].tobytes() for _ in range(60)}
    assert len(picked) == 4


def test_far_from_the_origin_cells_are_the_same():
    points, normals = random_points(400)
    near = voxel_cloud(points, normals, np.random.default_rng(0))
    far = voxel_cloud(points + 2.0**10, normals, np.random.default_rng(0))
    assert np.mean((near.cells[near.inverse] == far.cells[far.inverse]).all(axis=1)) > 0.99


@pytest.mark.parametrize(
    ("points", "normals"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.zeros((4, 2)), np.zeros((4, 2))),
        (np.zeros((4, 3)), np.zeros((3, 3))),
        (np.full((4, 3), np.nan), np.zeros((4, 3))),
    ],
)
def test_what_is_no_cloud_is_refused(points, normals):
    with pytest.raises(ValueError, match=r"shape|finite"):
        voxel_cloud(points, normals, np.random.default_rng(0))
