from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines import texture_maps
from backend.pipelines.texture_maps import map_files, normal_map
from tests.meshes.shiny import painted
from tests.meshes.solids import box, sphere


def sharp_box() -> TriangleMesh:
    """A box each of whose faces has corners of its own."""
    solid = box()
    corners = solid.vertices[solid.faces].reshape(-1, 3)
    return TriangleMesh(corners, np.arange(36, dtype=np.int32).reshape(-1, 3))


def test_normals_are_those_of_the_faces_in_the_axes_of_the_model():
    mesh = sharp_box()
    textured = painted(mesh, side=64)
    found = normal_map(textured)
    assert found.shape == (64, 128, 3)
    corners = mesh.vertices[mesh.faces].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    middles = textured.uv[textured.faces].mean(axis=1)
    x, y = (middles * (128, 64)).astype(int).T
    np.testing.assert_allclose(found[63 - y, x] / 127.5 - 1, normals, atol=0.005)
    assert (found[0, -1] == 128).all(), "there is no face in the last corner"


def test_a_large_texture_has_a_smaller_map_of_normals(monkeypatch):
    monkeypatch.setattr(texture_maps, "NORMAL_PX", 24)
    textured = painted(sharp_box(), side=17)
    assert normal_map(textured).shape == (17, 24, 3)


@pytest.mark.parametrize(("shine", "names"), [
    (True, ["albedo.png", "metallic.png", "roughness.png", "normal.png"]),
    (False, ["albedo.png", "normal.png"]),
])  # fmt: skip
def test_maps_are_named_that_are_there(tmp_path, shine, names):
    textured = replace(painted(sphere(subdivisions=1)), metallic_roughness=None)
    made = map_files(painted(sphere(subdivisions=1)) if shine else textured, tmp_path)
    assert [file.name for file in made] == names
    assert [file.role for file in made] == [name.removesuffix(".png") for name in names]
