from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import trimesh

from backend.catalog import BackSide
from backend.meshes.atlas import project
from backend.meshes.export import reload_welded, write_glb, write_obj_zip, write_ply, write_stl
from tests.meshes.test_render import RED, scene  # noqa: F401  the fixture


@pytest.fixture
def made(scene):  # noqa: F811
    mesh, frame, mask, rgb = scene
    return mesh, project(mesh, rgb, mask, frame, 128, BackSide.AUTO, False)


def test_glb_is_closed_textured_and_physically_based(made, tmp_path):
    mesh, textured = made
    write_glb(textured, tmp_path / "m.glb")
    assert reload_welded(tmp_path / "m.glb").is_watertight
    raw = trimesh.load(tmp_path / "m.glb", force="mesh", process=False)
    material = raw.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0.0, 0.8)
    assert material.baseColorTexture.size == textured.texture.shape[1::-1]
    assert raw.extents == pytest.approx(mesh.extents, rel=1e-5)
    assert b"NORMAL" in (tmp_path / "m.glb").read_bytes()[:4000]
    left_front = raw.vertices[(raw.vertices[:, 0] < -0.2) & (raw.vertices[:, 2] > 0.1)]
    assert len(left_front)


def test_glb_texture_coordinates_point_at_the_right_colour(made, tmp_path):
    write_glb(made[1], tmp_path / "m.glb")
    raw = trimesh.load(tmp_path / "m.glb", force="mesh", process=False)
    image = np.asarray(raw.visual.material.baseColorTexture.convert("RGB"))
    at = np.argmin(np.linalg.norm(raw.vertices - [-0.25, 0.5, 0.4], axis=1))
    u, v = raw.visual.uv[at]
    colour = image[int((1 - v) * image.shape[0]), int(u * image.shape[1])]
    assert np.abs(colour.astype(int) - RED).max() < 30


def test_untextured_glb_is_closed(made, tmp_path):
    write_glb(made[0], tmp_path / "m.glb")
    assert reload_welded(tmp_path / "m.glb").is_watertight


@pytest.mark.parametrize(("write", "kind"), [(write_stl, "stl"), (write_ply, "ply")])
def test_print_formats_are_closed_and_the_same_size(made, tmp_path, write, kind):
    path = tmp_path / f"m.{kind}"
    write(made[0], path)
    mesh = trimesh.load(path, process=True)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(made[0].volume(), rel=1e-4)


def test_obj_zip_holds_mesh_material_and_texture(made, tmp_path):
    write_obj_zip(made[1], tmp_path / "m.zip")
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        assert archive.namelist() == ["model.obj", "model.mtl", "texture.png"]
        text = archive.read("model.obj")
        assert b"map_Kd texture.png" in archive.read("model.mtl")
    mesh = trimesh.load(io.BytesIO(text), file_type="obj", force="mesh", process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(made[0].volume(), rel=1e-3)


def test_same_mesh_gives_the_same_bytes(made, tmp_path):
    for name in ("a", "b"):
        write_obj_zip(made[1], tmp_path / f"{name}.zip")
        write_glb(made[1], tmp_path / f"{name}.glb")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
