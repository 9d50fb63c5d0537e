"""Bodies stay apart wherever they touch."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.texturing.surface_bodies import bodies_of


def cubes(*shifts):
    boxes = [trimesh.creation.box((1, 1, 1)).apply_translation(shift) for shift in shifts]
    joined = trimesh.util.concatenate(boxes)
    return joined.vertices, joined.faces


@pytest.mark.parametrize("shift", [(1, 1, 1), (1, 1, 0), (1, 0.5, 0), (3, 0, 0)])
def test_cubes_that_meet_in_a_corner_an_edge_or_a_face_are_two(shift):
    bodies = bodies_of(*cubes((0, 0, 0), shift))
    assert len(set(bodies[:12])) == len(set(bodies[12:])) == 1
    assert bodies[0] != bodies[12]


def test_cubes_with_a_common_face_are_two_outside_of_it():
    vertices, faces = cubes((0, 0, 0), (1, 0, 0))
    inner = (np.asarray(vertices)[faces][..., 0] == 0.5).all(axis=1)
    bodies = bodies_of(vertices, faces)
    one, other = bodies[:12][~inner[:12]], bodies[12:][~inner[12:]]
    assert len(set(one)) == len(set(other)) == 1
    assert one[0] != other[0]


def test_vertices_need_not_be_shared_and_doubled_faces_are_one():
    vertices, faces = cubes((0, 0, 0))
    apart = np.asarray(vertices)[faces].reshape(-1, 3)
    assert set(bodies_of(apart, np.arange(36).reshape(-1, 3))) == {0}
    assert set(bodies_of(vertices, np.concatenate([faces, faces[:, ::-1]]))) == {0}


def test_a_face_without_corners_is_alone():
    vertices, faces = cubes((0, 0, 0))
    bodies = bodies_of(vertices, np.concatenate([faces, [[0, 0, 1]]]))
    assert len(set(bodies[:12])) == 1
    assert bodies[12] not in bodies[:12]
    assert len(bodies_of(vertices, np.zeros((0, 3), dtype=int))) == 0
