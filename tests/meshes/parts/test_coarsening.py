from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.parts import coarsening
from backend.meshes.parts.coarsening import FEWEST_FACES, coarsened
from tests.meshes.solids import sphere


def test_a_ball_keeps_its_shape_with_fewer_faces():
    mesh = sphere(0.5, 5)
    vertices, faces = coarsened(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 2000)
    assert 1500 < len(faces) <= 2000
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.5).max() < 0.02
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))


def test_a_ball_of_very_many_faces_keeps_its_shape_as_well(monkeypatch):
    monkeypatch.setattr(coarsening, "CLUSTERED_ABOVE_FACES", 20_000)
    monkeypatch.setattr(coarsening, "CLUSTER_BITS", 5)
    mesh = sphere(0.5, 5)
    assert len(mesh.faces) > 20_000
    vertices, faces = coarsened(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 2000)
    assert 1500 < len(faces) <= 2000
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.5).max() < 1 / 31
    tops = trimesh.Trimesh(vertices, faces, process=False)
    assert tops.volume == pytest.approx(np.pi / 6, rel=0.05)


def test_a_body_keeps_some_faces_whatever_its_share():
    mesh = sphere(0.5, 3)
    _, faces = coarsened(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 1)
    assert FEWEST_FACES / 2 <= len(faces) <= FEWEST_FACES
