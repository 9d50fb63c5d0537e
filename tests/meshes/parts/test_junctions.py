from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.junctions import split_at_junctions
from backend.meshes.parts.surface import face_pairs
from backend.meshes.parts.welding import weld
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box, sphere, together


def _areas(vertices, faces):
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def slit(mesh: TriangleMesh, chosen: np.ndarray) -> tuple[TriangleMesh, np.ndarray]:
    """Quarter some faces, not their neighbours; also say what each face is a piece of."""
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces
    a, b, c = faces[chosen].T
    middles = np.concatenate([vertices[[x, y]].mean(axis=0) for x, y in ((a, b), (b, c), (c, a))])
    p, q, r = len(vertices) + np.arange(3 * len(a)).reshape(3, -1)
    quarters = np.concatenate(
        [np.stack(face, axis=1) for face in ((a, p, r), (p, b, q), (r, q, c), (p, q, r))]
    )
    parents = np.concatenate([np.flatnonzero(~chosen), *[np.flatnonzero(chosen)] * 4])
    every = np.concatenate([faces[~chosen], quarters]).astype(np.int32)
    return TriangleMesh(np.concatenate([vertices, middles]).astype(np.float32), every), parents


def test_a_corner_on_an_edge_splits_the_face():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0], [0.3, -1, 0], [1, -1, 0]])
    faces = np.array([[0, 1, 2], [0, 4, 3], [3, 5, 1]])
    split, parents = split_at_junctions(vertices.astype(np.float64), faces)
    assert sorted(parents.tolist()) == [0, 0, 1, 2]
    assert len(face_pairs(split)[0]) == 3
    assert _areas(vertices, split).sum() == pytest.approx(_areas(vertices, faces).sum())


def test_many_corners_on_one_edge_all_split_it():
    xs = np.linspace(0, 1, 18)
    vertices = np.array([[0, 1, 0], *[[x, 0, 0] for x in xs], *[[x, -0.1, 0] for x in xs[:-1]]])
    strip = [[1 + i, 19 + i, 2 + i] for i in range(17)]
    split, parents = split_at_junctions(vertices, np.array([[0, 1, 18], *strip]))
    assert (parents == 0).sum() == 17
    assert _areas(vertices, split[parents == 0]).sum() == pytest.approx(0.5)


def test_closed_bodies_stay_as_they_are():
    mesh = together(box(), box(centre=(1, 0.3, 0)), sphere(0.2, 2))
    faces = mesh.faces.astype(np.int64)
    split, parents = split_at_junctions(mesh.vertices.astype(np.float64), faces)
    assert np.array_equal(split, faces)
    assert parents.tolist() == list(range(len(faces)))


def test_slits_do_not_part_a_thing():
    whole = dumbbell(40)
    chosen = np.floor(whole.vertices[whole.faces].mean(axis=1) * 2.3).sum(axis=1) % 2 == 0
    mesh, _ = slit(whole, chosen)
    welded = weld(mesh.vertices, mesh.faces)
    assert welded.bodies.max() == 0
    assert len(face_pairs(welded.faces)[0]) == 3 * len(welded.faces) / 2
    assert set(welded.source_faces) == set(range(len(mesh.faces)))


def test_the_largest_piece_speaks_for_its_face():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.8, 0, 0], [0.5, -1, 0], [1, -1, 0]])
    welded = weld(vertices, np.array([[0, 1, 2], [0, 4, 3], [3, 5, 1]]))
    pieces = np.flatnonzero(welded.source_faces == 0)
    assert len(pieces) == 2
    assert welded.areas[pieces[-1]] == pytest.approx(4 * welded.areas[pieces[0]])
