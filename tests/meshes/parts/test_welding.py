from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.welding import weld
from tests.meshes.solids import box, sphere, together


def test_seams_close_and_faces_keep_their_places():
    mesh = box()
    loose = mesh.vertices[mesh.faces].reshape(-1, 3)
    welded = weld(loose, np.arange(36).reshape(-1, 3))
    assert len(welded.vertices) == 8
    assert welded.source_faces.tolist() == list(range(12))
    assert welded.bodies.tolist() == [0] * 12
    assert welded.areas.sum() == pytest.approx(6)


def test_collapsed_faces_are_left_out():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]])
    faces = np.array([[0, 1, 3], [0, 1, 2], [0, 4, 1]])
    assert weld(vertices, faces).source_faces.tolist() == [1]


def test_of_faces_with_the_same_corners_the_first_is_kept():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    faces = np.array([[0, 1, 2], [2, 1, 0], [1, 3, 2], [1, 2, 0]])
    assert weld(vertices, faces).source_faces.tolist() == [0, 2]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_any_scale_comes_to_unit_size(scale):
    mesh = box((1, 2, 4))
    welded = weld(mesh.vertices.astype(np.float64) * scale, mesh.faces)
    assert np.ptp(welded.vertices, axis=0) == pytest.approx([0.25, 0.5, 1])


def test_bodies_are_told_apart():
    welded = weld(*_arrays(together(box(), sphere(0.3))))
    assert np.bincount(welded.bodies).tolist() == [12, 1280]


def test_a_soup_is_welded_with_some_tolerance():
    mesh = sphere(0.5, 2)
    jitter = np.random.default_rng(0).uniform(-2e-5, 2e-5, (len(mesh.faces) * 3, 3))
    loose = mesh.vertices[mesh.faces].reshape(-1, 3) + jitter
    welded = weld(loose, np.arange(len(loose)).reshape(-1, 3))
    assert welded.bodies.max() < 20


def _arrays(mesh):
    return mesh.vertices, mesh.faces
