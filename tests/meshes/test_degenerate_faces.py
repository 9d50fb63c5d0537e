from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.degenerate_faces import has_no_area, without_degenerate_faces
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import sphere, together


def with_split_edge(mesh: TriangleMesh, share: float) -> TriangleMesh:
    """Put a vertex onto an edge, so that both faces beside it are split into two."""
    a, b, c = (int(corner) for corner in mesh.faces[0])
    beside = next(i for i, face in enumerate(mesh.faces[1:], 1) if {a, b} <= {*face.tolist()})
    (d,) = {*mesh.faces[beside].tolist()} - {a, b}
    new = len(mesh.vertices)
    place = mesh.vertices[a] * (1 - share) + mesh.vertices[b] * share
    faces = np.delete(mesh.faces, [0, beside], axis=0)
    added = [[a, new, c], [new, b, c], [b, new, d], [new, a, d]]
    return TriangleMesh(
        np.concatenate([mesh.vertices, [place]]).astype(np.float32),
        np.concatenate([faces, added]).astype(np.int32),
    )


def test_two_vertices_in_one_place_are_made_one_and_the_mesh_stays_closed():
    ball = sphere()
    split = with_split_edge(ball, 0.0)
    assert has_no_area(split, split.faces).sum() == 2
    found = without_degenerate_faces(split)
    assert found.collapsed_faces == 2
    assert found.left == 0
    assert found.mesh.is_closed()
    assert len(found.mesh.faces) == len(ball.faces)
    assert found.mesh.volume() == pytest.approx(ball.volume(), rel=1e-6)


def test_several_at_once():
    balls = [with_split_edge(sphere().with_vertices(sphere().vertices + x), 0.0) for x in (0, 3)]
    found = without_degenerate_faces(together(*balls))
    assert found.collapsed_faces == 4
    assert found.mesh.is_closed()


def test_a_face_that_can_only_go_with_a_dent_stays():
    vertices = [[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [0.5, 0, 1]]
    faces = [[0, 1, 2], [0, 2, 3], [2, 1, 3], [1, 0, 4], [0, 3, 4], [3, 1, 4]]
    mesh = TriangleMesh(np.array(vertices, dtype=np.float32), np.array(faces, dtype=np.int32))
    assert mesh.is_closed()
    found = without_degenerate_faces(mesh)
    assert found.mesh is mesh
    assert found.left == 1


def test_faces_back_to_back_go_in_pairs_and_of_equal_ones_one_stays():
    ball = sphere()
    first = ball.faces[:1]
    flap = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.int32)
    folded = TriangleMesh(ball.vertices, np.concatenate([ball.faces, flap]))
    found = without_degenerate_faces(folded)
    assert found.duplicate_faces == 2
    assert found.mesh.is_closed()
    assert len(found.mesh.faces) == len(ball.faces)
    twice = TriangleMesh(ball.vertices, np.concatenate([ball.faces, first[:, [1, 2, 0]]]))
    found = without_degenerate_faces(twice)
    assert found.duplicate_faces == 1
    assert found.mesh.is_closed()


def test_a_neck_is_not_pinched_off():
    """Three faces around a tube so thin that its ring of three edges has no length."""
    ring = np.array([[0, 0, 0], [1e-13, 0, 0], [0, 1e-13, 0]])
    up = np.array([0, 0, 1])
    vertices = np.concatenate([ring - up, ring, ring + up]).astype(np.float32)
    vertices[[0, 1, 2, 6, 7, 8]] += np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32
    )
    sides = [[low + i, low + (i + 1) % 3, low + 3 + i] for low in (0, 3) for i in range(3)] + [
        [low + (i + 1) % 3, low + 3 + (i + 1) % 3, low + 3 + i] for low in (0, 3) for i in range(3)
    ]
    faces = np.array([[2, 1, 0], [6, 7, 8], *sides], dtype=np.int32)
    mesh = TriangleMesh(vertices, faces)
    assert mesh.is_closed()
    found = without_degenerate_faces(mesh)
    assert found.mesh.is_closed()
    assert len(np.unique(found.mesh.faces)) == 9
    assert found.left > 0


def test_a_sound_mesh_is_left_alone():
    ball = sphere()
    assert without_degenerate_faces(ball).mesh is ball
