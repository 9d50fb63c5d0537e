from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.mask_parts.surface_samples import surface_samples, unit_box
from tests.meshes.solids import box

VERTICES = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [3, 3, 0], [9, 9, 9]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [4, 4, 4], [1, 3, 2], [0, 1, 1]])


def test_points_lie_on_their_faces_and_know_the_normals():
    block = box((1.0, 2.0, 4.0))
    found = surface_samples(block.vertices, block.faces, 500, 3)
    corners = block.vertices[block.faces[found.faces]].astype(np.float64)
    away = np.einsum("ij,ij->i", found.raw - corners[:, 0], found.normals)
    assert np.abs(away).max() < 1e-6
    assert np.allclose(np.linalg.norm(found.normals, axis=1), 1)
    assert (found.raw >= corners.min(axis=1) - 1e-9).all()
    assert (found.raw <= corners.max(axis=1) + 1e-9).all()


def test_large_faces_get_more_points():
    thin = VERTICES * np.array([1, 1, 1], dtype=np.float32)
    thin[3] = [1, 3, 0]  # the second triangle now has a third of the area
    found = surface_samples(thin, FACES, 30_000, 0)
    shares = np.bincount(found.faces, minlength=4) / 30_000
    areas = np.array([4.5, 0, 1.5, 0]) / 6
    assert np.abs(shares - areas).max() < 0.01
    assert shares[1] == shares[3] == 0  # they have no area


def test_points_spread_evenly_within_a_face():
    found = surface_samples(VERTICES, FACES[:1], 20_000, 1)
    assert np.abs(found.raw.mean(axis=0) - VERTICES[:3].mean(axis=0)).max() < 0.02


def test_the_same_seed_draws_the_same():
    one, same, other = (surface_samples(VERTICES, FACES, 50, seed) for seed in (1, 1, 2))
    drawn = surface_samples(VERTICES, FACES, 50, np.random.default_rng(1))
    assert np.array_equal(one.raw, same.raw)
    assert np.array_equal(one.raw, drawn.raw)
    assert not np.array_equal(one.raw, other.raw)


def test_the_box_of_the_points_is_centred_and_reaches_to_one():
    found = surface_samples(VERTICES, FACES, 200, 0)
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    assert np.allclose(low, -high)
    assert (high - low).max() == pytest.approx(2, abs=1e-9)
    assert np.isfinite(unit_box(np.zeros((4, 3)))).all()


@pytest.mark.parametrize("faces", [FACES[[1, 3]], FACES[:0]])
def test_a_surface_without_an_area_has_no_points(faces):
    with pytest.raises(ValueError, match="no face has an area"):
        surface_samples(VERTICES, faces, 10, 0)
