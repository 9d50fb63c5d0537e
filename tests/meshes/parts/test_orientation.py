from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.orientation import turned_outwards
from tests.meshes.solids import box, sphere, together


def _volume(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def test_a_body_inside_out_is_turned_and_the_other_is_not():
    mesh = together(box(), sphere(0.5, 2).with_vertices(sphere(0.5, 2).vertices + 3))
    faces = mesh.faces.astype(np.int64)
    faces[:12] = faces[:12, ::-1]
    vertices = mesh.vertices.astype(np.float64)
    turned = turned_outwards(vertices, faces)
    assert np.array_equal(turned[12:], faces[12:])
    assert _volume(vertices, turned[:12]) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_mixed_faces_come_to_one_sense(seed):
    mesh = sphere(0.5, 2)
    faces = mesh.faces.astype(np.int64)
    wrong = np.random.default_rng(seed).random(len(faces)) < 0.3
    faces = np.where(wrong[:, None], faces[:, ::-1], faces)
    vertices = mesh.vertices.astype(np.float64)
    whole = _volume(vertices, mesh.faces.astype(np.int64))
    assert _volume(vertices, turned_outwards(vertices, faces)) == pytest.approx(whole)


def test_an_open_sheet_is_left_as_it_is():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0.01], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    assert np.array_equal(turned_outwards(vertices, faces), faces)
