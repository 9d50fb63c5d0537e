from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.part_surfaces import (
    HALF_SIDE,
    faces_in_box,
    object_surface,
    part_surface,
    unit_mesh,
)

# A square of two triangles at z = 0, one beside it, and one without an area.
VERTICES = np.array(
    [[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [6, 0, 2], [10, 0, 2], [6, 4, 2], [10, 10, 0]],
    dtype=np.float32,
)
FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [7, 7, 3]], dtype=np.int32)
EVERYWHERE = np.array([[-1.0] * 3, [1.0] * 3])


@pytest.fixture
def mesh():
    return unit_mesh(VERTICES, FACES)


def test_the_longest_side_reaches_from_end_to_end(mesh):
    assert mesh.vertices[:, 0].min() == pytest.approx(-HALF_SIDE)
    assert mesh.vertices[:, 0].max() == pytest.approx(HALF_SIDE)
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    np.testing.assert_allclose(middle, 0, atol=1e-12)
    assert mesh.scale == pytest.approx(10 / 1.6)


def test_points_find_back(mesh):
    np.testing.assert_allclose(mesh.to_world(mesh.vertices), VERTICES, atol=1e-12)
    np.testing.assert_allclose(mesh.to_unit(VERTICES), mesh.vertices, atol=1e-12)


def test_the_mesh_that_came_in_is_not_changed():
    before = VERTICES.copy()
    object_surface(unit_mesh(VERTICES, FACES), seed=0, count=10)
    np.testing.assert_array_equal(VERTICES, before)


@pytest.mark.parametrize("vertices", [np.zeros((3, 3)), np.zeros((0, 3)), np.full((3, 3), np.nan)])
def test_a_mesh_without_a_size_is_refused(vertices):
    with pytest.raises(ValueError, match="vertices"):
        unit_mesh(vertices, np.array([[0, 1, 2]]))


def test_a_face_belongs_to_a_box_that_holds_any_of_its_corners(mesh):
    box = mesh.to_unit(np.array([[3.5, -1, -1], [4.5, 1, 1]]))
    assert faces_in_box(mesh, box).tolist() == [0]
    both = mesh.to_unit(np.array([[-1, -1, -1], [0.1, 5, 1]]))
    assert faces_in_box(mesh, both).tolist() == [0, 1]


def test_corners_on_the_side_of_a_box_are_in_it(mesh):
    assert faces_in_box(mesh, np.stack([mesh.vertices[5], mesh.vertices[5]])).tolist() == [2]


def test_a_box_between_corners_is_empty(mesh):
    """Though the faces pass through it."""
    box = mesh.to_unit(np.array([[1, 1, -1], [2, 2, 1]]))
    assert len(faces_in_box(mesh, box)) == 0


def test_faces_without_area_belong_to_no_box(mesh):
    assert faces_in_box(mesh, EVERYWHERE).tolist() == [0, 1, 2]


def test_points_of_a_part_lie_on_its_faces(mesh):
    rows = part_surface(mesh, np.array([2]), seed=1, count=200)
    assert rows.shape == (200, 7)
    assert rows.dtype == np.float32
    places = mesh.to_world(rows[:, :3])
    x, y = (places[:, 0] - 6) / 4, places[:, 1] / 4
    assert (x > -1e-6).all()
    assert (y > -1e-6).all()
    assert (x + y < 1 + 1e-6).all()
    np.testing.assert_allclose(places[:, 2], 2, atol=1e-5)
    np.testing.assert_allclose(rows[:, 3:], [[0, 0, 1, 0]] * 200, atol=1e-6)


def test_points_are_as_many_as_wanted_and_lie_by_area(mesh):
    rows = object_surface(mesh, seed=3, count=4000)
    assert rows.shape == (4000, 7)
    share = (mesh.to_world(rows[:, :3])[:, 2] > 1).mean()
    assert share == pytest.approx(8 / 24, abs=0.03)


def test_points_of_the_object_are_rounded_as_in_training(mesh):
    rows = object_surface(mesh, seed=3, count=500)
    np.testing.assert_array_equal(rows[:, :3], rows[:, :3].astype(np.float16))
    assert len(np.unique(rows[:, :3], axis=0)) > 490
    np.testing.assert_allclose(np.linalg.norm(rows[:, 3:6], axis=1), 1, atol=1e-6)
    assert not rows[:, 6].any()


def test_the_same_seed_draws_the_same(mesh):
    first, again = (object_surface(mesh, seed=5, count=50) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != object_surface(mesh, seed=6, count=50)).any()
    of_part = [part_surface(mesh, np.array([0, 1]), seed, 50) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(of_part[0], of_part[1])
    assert (of_part[0] != of_part[2]).any()


def test_faces_without_any_area_are_refused(mesh):
    with pytest.raises(ValueError, match="area"):
        part_surface(mesh, np.array([3]), seed=0)
