from __future__ import annotations

import numpy as np

from backend.meshes.parts.coarsening import FEWEST_FACES, coarsened
from tests.meshes.solids import sphere


def test_a_ball_keeps_its_shape_with_fewer_faces():
    mesh = sphere(0.5, 5)
    vertices, faces = coarsened(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 2000)
    assert 1500 < len(faces) <= 2000
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.5).max() < 0.02
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))


def test_a_body_keeps_some_faces_whatever_its_share():
    mesh = sphere(0.5, 3)
    _, faces = coarsened(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 1)
    assert FEWEST_FACES / 2 <= len(faces) <= FEWEST_FACES
