from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from tests.meshes.globe import globe, with_faces, without_faces
from tests.meshes.solids import box, sphere, together
from tests.meshes.source_shapes import textured_box, three_balls


def test_a_closed_textured_box_is_told_as_it_is():
    figures = measure_mesh(textured_box())
    assert (figures.vertices, figures.places, figures.faces, figures.bodies) == (24, 8, 12, 1)
    assert figures.extents_m == (1, 1, 1)
    assert figures.area_m2 == pytest.approx(6)
    assert figures.volume_m3 == pytest.approx(1)
    assert figures.is_watertight
    assert figures.has_uvs
    assert not figures.has_vertex_colors
    assert figures.materials == 2
    (texture,) = figures.textures
    assert (texture.material, texture.width_px, texture.height_px) == ("paint", 8, 8)


def test_an_open_mesh_has_no_volume_and_its_borders_are_counted():
    figures = measure_mesh(without_faces(globe(), 500, 900))
    assert figures.volume_m3 is None
    assert not figures.is_watertight
    assert (figures.border_edges, figures.border_loops) == (6, 2)
    assert figures.document()["volume_m3"] is None


def test_broken_faces_are_counted():
    ball = SourceMesh.plain(sphere(subdivisions=1))
    first = ball.faces[0]
    doubled = measure_mesh(with_faces(ball, [*ball.faces, first, first[::-1], [1, 1, 2]]))
    assert doubled.duplicate_faces == 2
    assert doubled.degenerate_faces == 1
    assert doubled.non_manifold_edges == 3
    assert doubled.volume_m3 is None


def test_a_needle_without_area_is_degenerate_although_its_corners_differ():
    flat = SourceMesh(
        np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]], dtype=np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32),
        None, None, (Material(),), np.zeros(2, dtype=np.int16),
    )  # fmt: skip
    assert measure_mesh(flat).degenerate_faces == 1


def test_a_face_that_looks_the_other_way_clashes_with_its_neighbours():
    ball = SourceMesh.plain(sphere(subdivisions=1))
    faces = ball.faces.copy()
    faces[7] = faces[7][::-1]
    figures = measure_mesh(with_faces(ball, faces))
    assert figures.flipped_edges == 3
    assert figures.is_watertight
    assert figures.volume_m3 is None


def test_a_ball_inside_out_is_told_from_a_hollow():
    balls = three_balls(1)
    faces = balls.faces.copy()
    faces[:80] = faces[:80][:, ::-1]
    assert measure_mesh(with_faces(balls, faces)).inward_bodies == 1
    hollow = together(sphere(subdivisions=1), box(size=(0.2, 0.2, 0.2), centre=(0, 0, 0)))
    inner = SourceMesh.plain(hollow)
    faces = inner.faces.copy()
    faces[80:] = faces[80:][:, ::-1]
    figures = measure_mesh(with_faces(inner, faces))
    assert figures.inward_bodies == 0
    assert figures.bodies == 2
    assert figures.volume_m3 < measure_mesh(SourceMesh.plain(sphere(subdivisions=1))).volume_m3


def test_a_texture_that_cannot_be_opened_has_no_size():
    broken = Material("torn", texture=EncodedImage(b"\x89PNG no more", "image/png"))
    figures = measure_mesh(replace(globe(4), materials=(broken,)))
    assert figures.textures[0].width_px is None
    assert figures.textures[0].size_bytes == 12
