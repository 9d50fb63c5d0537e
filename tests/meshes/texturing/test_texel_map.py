"""Texels know where on the surface they lie."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_map import TexelBands, texels_of
from tests.meshes.texturing import golden_render as golden

FACES = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)


def test_texels_lie_at_their_centres():
    vertices = np.concatenate([CORNERS * 8, np.zeros((4, 1))], axis=1)
    normals = np.tile([0, 0, 2.0], (4, 1))
    texels = texels_of(SurfaceLayout(np.arange(4), CORNERS, FACES), vertices, normals, 8)
    assert len(texels) == 64
    assert texels.covered.all()
    assert np.allclose(texels.positions[:, 0], texels.columns + 0.5, atol=1e-5)
    assert np.allclose(texels.positions[:, 1], 8 - (texels.rows + 0.5), atol=1e-5)
    assert np.allclose(texels.normals, [0, 0, 1])
    assert set(texels.face_ids) == {0, 1}
    assert np.allclose(texels.interpolate(vertices, FACES), texels.positions)


def test_layouts_may_double_vertices_of_the_mesh():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=float)
    faces = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)
    uv = np.array([[0, 0], [0.4, 0], [0, 0.4], [1, 1], [0.6, 1], [1, 0.6]], dtype=np.float32)
    layout = SurfaceLayout(np.array([0, 1, 2, 0, 1, 2]), uv, faces)
    texels = texels_of(layout, vertices, np.tile([0, 0, 1.0], (3, 1)), 20)
    first, second = (texels.positions[texels.face_ids == face] for face in (0, 1))
    assert len(first) == len(second) > 20
    assert np.allclose(np.sort(first[:, 0]), np.sort(second[:, 0]), atol=1e-5)


def test_texels_of_a_whole_mesh_lie_on_their_faces():
    vertices, faces = golden.unit_vertices(), golden.faces()
    texels = texels_of(golden.layout(), vertices, golden.normals(), 128)
    corners = vertices[faces[texels.face_ids]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    off = np.einsum("ij,ij->i", texels.positions - corners[:, 0], normal)
    assert np.abs(off).max() < 1e-5
    assert np.allclose(np.linalg.norm(texels.normals, axis=1), 1, atol=1e-5)
    picture = texels.as_picture(texels.positions)
    assert np.array_equal(picture[texels.rows, texels.columns], texels.positions)
    assert not picture[~texels.covered].any()


def test_bands_of_rows_hold_the_texels_of_the_whole():
    given = golden.layout(), golden.unit_vertices(), golden.normals(), 128
    whole, bands = texels_of(*given), TexelBands(*given, rows=23)
    assert [bands.starts[-1], len(bands.starts)] == [115, 6]
    parts = [bands.band(start) for start in bands.starts]
    for name in ("rows", "columns", "face_ids"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))
    for name in ("positions", "normals", "barycentric"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.allclose(joined, getattr(whole, name), atol=1e-6)
