from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts import surface as surfaces
from backend.meshes.parts.surface import Surface, face_pairs, neighbours
from tests.meshes.solids import box


def _surface(mesh) -> Surface:
    return Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))


def test_a_box_turns_by_right_angles_and_is_convex():
    surface = _surface(box())
    assert len(surface.pairs) == 18
    assert sorted(np.round(np.degrees(surface.turns)).tolist()) == [0.0] * 6 + [90.0] * 12
    assert surface.is_convex.all()
    assert surface.areas.sum() == pytest.approx(6)


def test_a_box_seen_from_inside_is_concave():
    mesh = box()
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces[:, ::-1].astype(np.int64))
    assert not surface.is_convex[surface.turns > 0.1].any()


def test_an_edge_of_three_faces_links_them_in_a_chain():
    faces = np.array([[0, 1, 2], [0, 1, 3], [1, 0, 4]])
    pairs, edges = face_pairs(faces)
    assert pairs.tolist() == [[0, 1], [1, 2]]
    assert edges.tolist() == [[0, 1], [0, 1]]


def test_pieces_of_labels():
    surface = _surface(box())
    assert surface.pieces(np.zeros(12, dtype=np.int64)).max() == 0
    opposite = (np.abs(surface.normals[:, 1]) > 0.9).astype(np.int64)
    assert surface.pieces(opposite).max() == 2  # bottom, top, and the ring between


def test_no_faces_have_no_pairs():
    pairs, edges = face_pairs(np.zeros((0, 3), dtype=np.int64))
    assert pairs.shape == edges.shape == (0, 2)


def test_neighbours_are_the_same_however_they_are_sorted(monkeypatch):
    faces = np.random.default_rng(0).integers(0, 40, (300, 3))
    pairs, edges = face_pairs(faces)
    assert np.array_equal(neighbours(faces), pairs)
    assert (edges[:, 0] <= edges[:, 1]).all()
    assert all(set(edge) <= set(faces[pair[0]]) & set(faces[pair[1]])
               for edge, pair in zip(edges, pairs, strict=True))  # fmt: skip
    monkeypatch.setattr(surfaces, "LARGEST_KEY_BITS", 0)
    assert np.array_equal(neighbours(faces), pairs)
