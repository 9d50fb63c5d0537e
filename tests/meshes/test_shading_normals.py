from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.part_split import ShadedMesh, split, split_at_borders
from backend.meshes.shading_normals import shading_normals
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls


def soup_of(mesh):
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    return corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3)


def test_a_ball_of_loose_triangles_is_lit_smoothly():
    vertices, faces = soup_of(sphere(subdivisions=3))
    normals = shading_normals(vertices, faces)
    outwards = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", normals, outwards).min() > 0.999


def test_edges_whose_vertices_are_held_apart_stay_sharp():
    mesh = textured_box()
    normals = shading_normals(mesh.vertices, mesh.faces)
    assert np.abs(normals).max(axis=1) == pytest.approx(1)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)


def test_what_has_no_area_gets_a_unit_normal():
    flat = np.zeros((3, 3), dtype=np.float32)
    normals = shading_normals(flat, np.array([[0, 1, 2]], dtype=np.int32))
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)


def test_split_keeps_every_face_with_all_it_has_and_in_its_order():
    mesh = textured_box()
    whole = ShadedMesh.of(mesh)
    labels = np.arange(12) % 3
    parts = split(whole, labels, 4)
    assert [len(part.mesh.faces) for part in parts] == [4, 4, 4, 0]
    for label, part in enumerate(parts):
        chosen = labels == label
        cut = part.mesh
        assert (cut.vertices[cut.faces] == mesh.vertices[mesh.faces[chosen]]).all()
        assert (cut.uvs[cut.faces] == mesh.uvs[mesh.faces[chosen]]).all()
        assert (part.normals[cut.faces] == whole.normals[mesh.faces[chosen]]).all()
        assert (cut.face_materials == mesh.face_materials[chosen]).all()
        assert cut.materials == mesh.materials
        assert len(cut.vertices) == len(np.unique(cut.faces))


def test_only_vertices_on_borders_are_doubled():
    ball = SourceMesh.plain(sphere(subdivisions=3))
    upper = (ball.vertices[ball.faces].mean(axis=1)[:, 1] > 0).astype(np.int32)
    cut, labels = split_at_borders(ShadedMesh.of(ball), upper)
    assert (cut.mesh.vertices[cut.mesh.faces] == ball.vertices[ball.faces]).all()
    assert (labels[cut.mesh.faces] == upper[:, None]).all()
    border = [set(ball.faces[upper == side].ravel()) for side in (0, 1)]
    assert len(cut.mesh.vertices) == len(ball.vertices) + len(border[0] & border[1])


def test_bodies_need_no_doubling():
    mesh = three_balls(1)
    cut, _ = split_at_borders(ShadedMesh.of(mesh), ball_of_face(mesh))
    assert len(cut.mesh.vertices) == len(mesh.vertices)
