from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from tests.meshes.solids import box, sphere


def test_welding_joins_equal_positions_and_drops_slivers():
    solid = box()
    loose = solid.vertices[solid.faces].reshape(-1, 3)
    faces = np.arange(len(loose)).reshape(-1, 3)
    degenerate = np.array([[0, 0, 1]])
    mesh = TriangleMesh.welded(loose, np.concatenate([faces, degenerate]))
    assert len(mesh.vertices) == 8
    assert len(mesh.faces) == 12


def test_minus_zero_and_zero_are_one_position():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, -0.0, 0], [1, 0, 0], [0, -1, 0]])
    mesh = TriangleMesh.welded(vertices, np.array([[0, 1, 2], [4, 3, 5]]))
    assert len(mesh.vertices) == 4


def test_a_box_is_closed_until_a_face_is_missing_or_flipped():
    solid = box()
    assert solid.is_closed()
    assert not TriangleMesh(solid.vertices, solid.faces[1:]).is_closed()
    flipped = solid.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert not TriangleMesh(solid.vertices, flipped).is_closed()
    assert not TriangleMesh(solid.vertices, np.concatenate([solid.faces, solid.faces])).is_closed()


def test_volume_is_signed():
    solid = box((2, 3, 4))
    assert solid.volume() == pytest.approx(24)
    assert TriangleMesh(solid.vertices, solid.faces[:, ::-1]).volume() == pytest.approx(-24)


def test_normals_look_outwards_with_length_one():
    ball = sphere()
    normals = vertex_normals(ball)
    assert normals.dtype == np.float32
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(normals)), abs=1e-5)
    assert np.einsum("ij,ij->i", normals, ball.vertices).min() > 0.45
