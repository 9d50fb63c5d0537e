from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import trimesh

from backend.catalog import BackSide
from backend.meshes.export import (
    jpeg_bytes,
    reload_welded,
    write_glb,
    write_obj_zip,
    write_ply,
    write_stl,
)
from backend.meshes.frame import PictureFrame
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.pictured import pictured
from tests.meshes.solids import disc_mask, sphere


@pytest.fixture(scope="module")
def ball() -> TriangleMesh:
    return sphere(subdivisions=4)


@pytest.fixture(scope="module")
def textured(ball) -> TexturedMesh:
    rgb = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    frame = PictureFrame(49.5, 49.5, 1 / 80)
    return pictured(ball, rgb, disc_mask(100, 40), frame, 128, BackSide.AUTO)


def _gltf(path) -> dict:
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[12:16])
    return json.loads(data[20 : 20 + length])


def test_a_textured_glb_is_closed_when_read_back(textured, tmp_path):
    path = tmp_path / "model.glb"
    write_glb(textured, path)
    raw = trimesh.load(path, force="mesh", process=False)
    assert not raw.is_watertight  # the seam
    welded = reload_welded(path)
    assert welded.is_watertight
    assert welded.is_winding_consistent
    assert welded.volume > 0


def test_the_glb_has_one_material_normals_and_a_jpeg(textured, tmp_path):
    path = tmp_path / "model.glb"
    write_glb(textured, path)
    gltf = _gltf(path)
    (material,) = gltf["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == pytest.approx(0.8)
    assert "baseColorTexture" in material["pbrMetallicRoughness"]
    assert gltf["images"][0]["mimeType"] == "image/jpeg"
    assert jpeg_bytes(textured.texture) in path.read_bytes(), "encoded once, and well"
    (primitive,) = gltf["meshes"][0]["primitives"]
    assert {"POSITION", "NORMAL", "TEXCOORD_0"} <= set(primitive["attributes"])


def test_an_untextured_glb_is_closed_as_it_is(ball, tmp_path):
    path = tmp_path / "preview.glb"
    write_glb(ball, path)
    assert trimesh.load(path, force="mesh", process=False).is_watertight
    assert "images" not in _gltf(path)


def test_the_texture_lies_where_it_was_baked(textured, tmp_path):
    path = tmp_path / "model.glb"
    write_glb(textured, path)
    read = trimesh.load(path, force="mesh", process=False)
    assert np.allclose(read.visual.uv, textured.uv, atol=1e-6)
    assert np.array_equal(read.faces, textured.faces)


@pytest.mark.parametrize(("writer", "suffix"), [(write_stl, "stl"), (write_ply, "ply")])
def test_plain_formats_are_binary_and_closed(ball, tmp_path, writer, suffix):
    path = tmp_path / f"model.{suffix}"
    writer(ball, path)
    mesh = trimesh.load(path)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(ball.volume(), rel=1e-5)
    assert not path.read_bytes().startswith(b"solid ")


def test_the_obj_zip_holds_model_material_and_texture(textured, tmp_path):
    path = tmp_path / "obj.zip"
    write_obj_zip(textured, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.obj", "model.mtl", "texture.png"]
        archive.extractall(tmp_path)
    mesh = trimesh.load(tmp_path / "model.obj", process=False)
    assert np.asarray(mesh.visual.material.image).shape == textured.texture.shape
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight


def test_a_plain_obj_needs_no_material(ball, tmp_path):
    path = tmp_path / "obj.zip"
    write_obj_zip(ball, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.obj"]
        mesh = trimesh.load(io.BytesIO(archive.read("model.obj")), file_type="obj")
    assert mesh.is_watertight


def test_the_same_model_gives_the_same_bytes(textured, ball, tmp_path):
    for name, write, mesh in (
        ("a.glb", write_glb, textured),
        ("a.zip", write_obj_zip, textured),
        ("a.stl", write_stl, ball),
    ):
        write(mesh, tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write(mesh, tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_the_archive_is_deflated_at_the_level_asked_for(textured, tmp_path):
    sizes, texts = [], []
    for level in (0, 1, 9):
        write_obj_zip(textured, tmp_path / f"{level}.zip", level)
        with zipfile.ZipFile(tmp_path / f"{level}.zip") as archive:
            sizes.append(archive.getinfo("model.obj").compress_size)
            texts.append(archive.read("model.obj"))
    assert sizes[0] > sizes[1] > sizes[2]
    assert texts[0] == texts[1] == texts[2]
