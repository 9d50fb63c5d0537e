"""Maps of roughness and metal through everything that reads and writes meshes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.catalog import MeshFileFormat
from backend.meshes.decimation.fewer_faces import with_fewer_faces
from backend.meshes.export import look_of, write_glb, write_obj_zip
from backend.meshes.glb_notes import SHAPE_MODE, notes_in, shape_mode_in
from backend.meshes.mending.repair import RepairOptions, repair
from backend.meshes.mesh_files import write_mesh
from backend.meshes.part_scene import PartScene, ScenePart
from backend.meshes.part_split import ShadedMesh, split
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.shine_maps import shine_maps
from backend.meshes.source_glb import write_source_mesh
from backend.meshes.source_mesh import EncodedImage, Material
from tests.meshes.glb_check import CheckedGlb
from tests.meshes.globe import globe
from tests.meshes.shiny import METAL, ROUGH, painted, shine_png, shiny_box
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import png


def test_a_glb_with_all_maps_passes_every_check(tmp_path):
    textured = painted(sphere(subdivisions=2))
    write_glb(textured, tmp_path / "model.glb")
    glb = CheckedGlb(tmp_path / "model.glb")
    surface = glb.document["materials"][0]["pbrMetallicRoughness"]
    assert (surface["metallicFactor"], surface["roughnessFactor"]) == (1, 1)
    assert glb.map_of("baseColorTexture").shape == (16, 32, 3)
    shine = glb.map_of("metallicRoughnessTexture").astype(int)
    assert np.abs(shine[..., 1] - ROUGH).max() <= 3
    assert np.abs(shine[..., 2] - METAL).max() <= 3
    loaded = trimesh.load(tmp_path / "model.glb", force="mesh", process=False)
    assert loaded.visual.material.metallicRoughnessTexture.size == (32, 16)
    np.testing.assert_array_equal(loaded.faces, textured.faces)


def test_a_glb_without_maps_has_factors_of_its_own(tmp_path):
    write_glb(painted(sphere(subdivisions=1), shine=False), tmp_path / "model.glb")
    surface = CheckedGlb(tmp_path / "model.glb").document["materials"][0]["pbrMetallicRoughness"]
    assert "metallicRoughnessTexture" not in surface
    assert (surface["metallicFactor"], surface["roughnessFactor"]) == (0, pytest.approx(0.8))


def test_a_glb_keeps_notes_and_two_sides(tmp_path):
    path = tmp_path / "model.glb"
    textured = replace(painted(sphere(subdivisions=1)), is_double_sided=True)
    write_glb(textured, path, {SHAPE_MODE: "inflate"})
    assert CheckedGlb(path).document["materials"][0]["doubleSided"] is True
    assert shape_mode_in(path) == "inflate"
    write_glb(textured, path)
    assert notes_in(path) == {}
    assert shape_mode_in(path) is None
    path.write_bytes(b"short")
    assert notes_in(path) == {}


def test_the_obj_of_a_texture_names_all_maps(tmp_path):
    write_obj_zip(painted(sphere(subdivisions=1)), tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        lines = archive.read("model.mtl").decode().splitlines()
        pictures = {
            line.split()[0]: np.asarray(Image.open(io.BytesIO(archive.read(line.split()[1]))))
            for line in lines
            if line.startswith("map_")
        }
    assert {"Pr 1", "Pm 1"} <= set(lines)
    assert set(pictures) == {"map_Kd", "map_Pr", "map_Pm"}
    assert (pictures["map_Pr"] == ROUGH).all()
    assert (pictures["map_Pm"] == METAL).all()
    assert pictures["map_Kd"].shape == (16, 32, 3)


def test_what_is_read_is_written_again(tmp_path):
    box = shiny_box()
    for write in (write_source_mesh, lambda mesh, path: write_mesh(mesh, MeshFileFormat.GLB, path)):
        write(box, tmp_path / "box.glb")
        CheckedGlb(tmp_path / "box.glb")
        (paint,) = (one for one in read_mesh(tmp_path / "box.glb").materials if one.texture)
        assert paint == box.materials[0]


def test_a_repaired_and_reduced_mesh_keeps_its_maps(tmp_path):
    ball = globe(24)
    look = Material("shiny", metallic=1.0, texture=png(), metallic_roughness=shine_png())
    ball = replace(ball, materials=(look,), face_materials=np.zeros(len(ball.faces), np.int16))
    mended = repair(ball, RepairOptions()).mesh
    assert mended.materials[int(mended.face_materials[0])].metallic_roughness == shine_png()
    reduced = with_fewer_faces(ball, len(ball.faces) // 2).mesh
    assert len(reduced.faces) < len(ball.faces)
    write_mesh(reduced, MeshFileFormat.GLB, tmp_path / "less.glb")
    glb = CheckedGlb(tmp_path / "less.glb")
    assert (glb.map_of("metallicRoughnessTexture")[..., 1] == ROUGH).all()


def test_parts_keep_the_maps_of_their_surface(tmp_path):
    box = shiny_box()
    halves = (box.vertices[box.faces].mean(axis=1)[:, 0] > 0).astype(np.int32)
    shapes = split(ShadedMesh.of(box), halves, 2)
    parts = [ScenePart(number, shape) for number, shape in enumerate(shapes)]
    PartScene(parts).write(tmp_path / "parts.glb")
    CheckedGlb(tmp_path / "parts.glb")
    found = read_mesh(tmp_path / "parts.glb")
    shown = [look for look in found.materials if look.texture]
    assert shown
    assert all(look.metallic_roughness == shine_png() for look in shown)


def test_the_obj_of_a_given_mesh_names_its_maps_multiplied_by_the_factors(tmp_path):
    box = shiny_box()
    looks = (replace(box.materials[0], roughness=0.5), box.materials[1])
    write_mesh(replace(box, materials=looks), MeshFileFormat.OBJ, tmp_path / "box.zip")
    with zipfile.ZipFile(tmp_path / "box.zip") as archive:
        told = archive.read("model.mtl").decode()
        rough = np.asarray(Image.open(io.BytesIO(archive.read("roughness_0.png"))))
        metal = np.asarray(Image.open(io.BytesIO(archive.read("metallic_0.png"))))
    assert "map_Pr roughness_0.png" in told
    assert "map_Pm metallic_0.png" in told
    assert (rough == round(ROUGH / 2)).all()
    assert (metal == METAL).all()


def test_no_map_and_a_broken_one_have_nothing_to_split():
    assert shine_maps(Material()) is None
    broken = EncodedImage(b"no picture", "image/png")
    assert shine_maps(Material(metallic_roughness=broken)) is None


def test_a_part_made_anew_shines_as_its_surface_did_on_average():
    from backend.meshes.generated_part import part_look

    box = shiny_box()
    look = part_look(box.selected(box.face_materials == 0))
    assert look.metallic_roughness is None
    assert look.metallic == pytest.approx(METAL / 255, abs=0.01)
    assert look.roughness == pytest.approx(ROUGH / 255, abs=0.01)


def test_a_model_of_ours_becomes_a_given_mesh_with_its_maps():
    look = look_of(painted(sphere(subdivisions=1)))
    assert look.metallic_roughness is not None
    assert (look.metallic, look.roughness) == (1.0, 1.0)
