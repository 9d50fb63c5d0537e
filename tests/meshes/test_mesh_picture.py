from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from backend.meshes.mesh_picture import pictured
from backend.meshes.render import View, render
from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import textured_box


def test_a_mesh_without_a_look_is_drawn_bare():
    assert isinstance(pictured(SourceMesh.plain(sphere())), TriangleMesh)


def test_textures_and_materials_are_drawn_in_their_colours():
    mesh = pictured(textured_box())
    assert isinstance(mesh, TexturedMesh)
    front, top = (render(mesh, view, 64) for view in (View(), View(elevation=90)))
    red, blue = front[32, 32, :3].astype(int), top[32, 32, :3].astype(int)
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]


def test_a_texture_is_drawn_within_its_faces():
    file = io.BytesIO()
    halves = np.zeros((4, 64, 3), dtype=np.uint8)
    halves[:, :32, 0] = halves[:, 32:, 2] = 255
    Image.fromarray(halves).save(file, "PNG")
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    uvs = np.array([[2, 1], [3, 1], [3, 0], [2, 0]], dtype=np.float32)
    look = Material(texture=EncodedImage(file.getvalue(), "image/png"))
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    square = SourceMesh(corners, faces, uvs, None, (look,), np.zeros(2, dtype=np.int16))
    picture = render(pictured(square), View(), 64).astype(int)
    left, right = picture[10:54, 10:28], picture[10:54, 36:54]
    assert (left[:, :, 0] > 100).all()
    assert (left[:, :, 2] < 40).all()
    assert (right[:, :, 2] > 100).all()


def test_colours_of_vertices_are_drawn():
    ball = sphere()
    green = np.tile(np.array([0, 255, 0, 255], dtype=np.uint8), (len(ball.vertices), 1))
    picture = render(pictured(replace(SourceMesh.plain(ball), colors=green)), View(), 64)
    assert picture[32, 32, 1] > 100
    assert picture[32, 32, 0] < 40


def test_a_broken_texture_is_left_out():
    broken = Material("torn", texture=EncodedImage(b"none", "image/png"))
    assert render(pictured(replace(textured_box(), materials=(broken, broken))), View(), 32).any()
