from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backend.meshes.parts.analysis import prepare_analysis
from backend.meshes.parts.bodies import gather_bodies
from backend.meshes.parts.division import divide
from backend.meshes.parts.face_colors import analysis_colors
from backend.meshes.parts.welding import weld
from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from tests.meshes.solids import sphere

RED, BLUE = (255, 0, 0), (0, 0, 255)


def _found(mesh: SourceMesh):
    welded = weld(mesh.vertices, mesh.faces)
    analysis = prepare_analysis(welded, gather_bodies(welded))
    return analysis, analysis_colors(mesh, welded, analysis)


def _texture(left, right) -> EncodedImage:
    image = Image.new("RGB", (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png")


def _ball(subdivisions=4, *, texture=None, colors=None, materials=None, kinds=None) -> SourceMesh:
    ball = sphere(0.5, subdivisions)
    uvs = np.clip(ball.vertices[:, :2] + 0.5, 0, 0.999).astype(np.float32)
    kinds = np.zeros(len(ball.faces), dtype=np.int16) if kinds is None else kinds
    materials = (Material(texture=texture),) if materials is None else materials
    return SourceMesh(ball.vertices, ball.faces, uvs, colors, materials, kinds)


def _halves(mesh: SourceMesh):
    return mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 0


def test_a_plain_mesh_has_no_colours_to_go_by():
    assert _found(_ball())[1] is None


@pytest.mark.parametrize("subdivisions", [3, 6], ids=["as given", "coarsened"])
def test_a_texture_is_read_where_it_lies(subdivisions):
    analysis, colors = _found(_ball(subdivisions, texture=_texture(RED, BLUE)))
    assert (analysis.parents is None) == (subdivisions == 6)
    away = np.abs(analysis.centres[:, 0] - 0.5) > 0.05  # of the border
    is_right = analysis.centres[:, 0] > 0.5
    blue, red = np.array([32.3, 79.2, -107.9]), np.array([53.2, 80.1, 67.2])
    assert np.abs(colors[is_right & away] - blue).max() < 0.5
    assert np.abs(colors[~is_right & away] - red).max() < 0.5


def test_colours_of_vertices_and_of_materials_count():
    ball = _ball()
    right = ball.vertices[:, 0] > 0
    painted = np.where(right[:, None], [[0, 0, 255, 255]], [[255, 255, 255, 255]])
    _, by_vertex = _found(_ball(colors=painted.astype(np.uint8)))
    pair = (Material(base_color=(1, 1, 1, 1)), Material(base_color=(0, 0, 1, 1)))
    _, by_material = _found(_ball(materials=pair, kinds=_halves(ball).astype(np.int16)))
    for colors in (by_vertex, by_material):
        assert np.median(colors[_halves(ball)], axis=0) == pytest.approx([32, 79, -108], abs=1)
        assert np.median(colors[~_halves(ball)], axis=0) == pytest.approx([100, 0, 0], abs=1)


def test_a_texture_that_cannot_be_read_is_white():
    broken = EncodedImage(b"no picture", "image/png")
    assert _found(_ball(texture=broken))[1] is None


def test_two_parts_of_a_painted_ball_are_its_colours():
    mesh = _ball(texture=_texture(RED, BLUE))
    tree = divide(mesh, 0, lambda _: None)
    assert tree.suggested == 1  # colour alone makes no part, but it is the next border
    parts = tree.face_parts(2)
    wrong = float(((parts == 1) != _halves(mesh)).mean())
    assert min(wrong, 1 - wrong) < 0.05
