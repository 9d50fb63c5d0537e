from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.refinement import split_long_edges
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box


def _areas(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def test_a_long_box_is_split_evenly_and_stays_closed():
    mesh = box((4, 1, 1))
    vertices = mesh.vertices.astype(np.float64)
    split, faces, parents = split_long_edges(vertices, mesh.faces.astype(np.int64), 0.3, 9000)
    lengths = np.linalg.norm(split[faces] - split[np.roll(faces, -1, axis=1)], axis=2)
    assert lengths.max() <= 0.3
    made = TriangleMesh(split.astype(np.float32), faces.astype(np.int32))
    assert made.is_closed()
    assert made.volume() == pytest.approx(4, rel=1e-5)
    pieces = np.bincount(parents, _areas(split, faces))
    assert pieces == pytest.approx(_areas(vertices, mesh.faces))


def test_short_edges_are_left_alone():
    mesh = box()
    faces = mesh.faces.astype(np.int64)
    vertices, same, parents = split_long_edges(mesh.vertices.astype(np.float64), faces, 9, 9000)
    assert np.array_equal(same, faces)
    assert len(vertices) == 8
    assert parents.tolist() == list(range(12))


def test_there_is_a_limit_to_faces():
    mesh = box()
    faces = mesh.faces.astype(np.int64)
    _, many, _ = split_long_edges(mesh.vertices.astype(np.float64), faces, 1e-4, 1000)
    assert 1000 <= len(many) <= 4000
