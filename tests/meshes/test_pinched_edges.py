from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.pinched_edges import unpinched
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box, sphere, together


def _around_one_edge(tetrahedra: int) -> TriangleMesh:
    """Solids that have the edge from (0, 0, 0) to (0, 0, 1) in common, and nothing else."""
    vertices, faces = [(0.0, 0.0, 0.0), (0.0, 0.0, 1.0)], []
    for number in range(tetrahedra):
        start = 2 * np.pi * number / tetrahedra
        first, second = len(vertices), len(vertices) + 1
        angles = (start, start + np.pi / tetrahedra)
        vertices += [(np.cos(angle), np.sin(angle), 0.5) for angle in angles]
        faces += [(0, 1, second), (1, 0, first), (0, second, first), (1, first, second)]
    mesh = TriangleMesh(np.array(vertices, np.float32), np.array(faces, np.int32))
    return mesh if mesh.volume() > 0 else TriangleMesh(mesh.vertices, mesh.faces[:, ::-1].copy())


def _welded(mesh: TriangleMesh) -> TriangleMesh:
    return TriangleMesh.welded(mesh.vertices, mesh.faces)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_solids_that_share_an_edge_are_parted_along_it(count):
    pinched = _around_one_edge(count)
    assert not pinched.is_closed()
    parted = unpinched(pinched)
    assert parted.is_closed()
    assert _welded(parted).is_closed()  # as other programs read it
    assert len(parted.faces) == len(pinched.faces) + 2 * (count - 1)
    assert 0 < pinched.volume() - parted.volume() < 0.05 * pinched.volume()


def test_new_vertices_lie_inside_their_solid():
    pinched = _around_one_edge(2)
    (new,) = unpinched(pinched).vertices[len(pinched.vertices) :].astype(float)
    assert new[2] == pytest.approx(0.5)
    angle = np.arctan2(new[1], new[0]) % np.pi  # the wedges are the first quarter and the third
    assert angle == pytest.approx(np.pi / 4, abs=0.01)


def test_boxes_that_touch_along_an_edge_stay_two_boxes():
    touching = together(box(), box(centre=(1.0, 1.5, 0.0)))
    pinched = _welded(touching)
    assert not pinched.is_closed()
    parted = _welded(unpinched(pinched))
    assert parted.is_closed()
    assert parted.volume() == pytest.approx(2.0, rel=0.02)


def test_faces_back_to_back_go():
    ball = sphere()
    a, b, _ = ball.faces[0]
    tip = len(ball.vertices)
    flap = np.array([(a, b, tip), (b, a, tip)], np.int32)
    vertices = np.concatenate([ball.vertices, [[0, 2, 0]]]).astype(np.float32)
    found = unpinched(TriangleMesh(vertices, np.concatenate([ball.faces, flap])))
    assert np.array_equal(found.faces, ball.faces)


def test_a_closed_mesh_is_handed_back():
    ball = sphere()
    assert unpinched(ball) is ball


def test_an_open_mesh_is_left_alone():
    ball = sphere()
    half = TriangleMesh(ball.vertices, ball.faces[: len(ball.faces) // 2])
    assert unpinched(half) is half


def test_an_uneven_edge_is_left_open():
    pinched = _around_one_edge(2)
    torn = TriangleMesh(pinched.vertices, np.delete(pinched.faces, 0, axis=0))
    assert not unpinched(torn).is_closed()


def test_no_faces_are_no_trouble():
    empty = TriangleMesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    assert unpinched(empty) is empty
