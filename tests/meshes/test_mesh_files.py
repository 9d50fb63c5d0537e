from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.catalog import MeshFileFormat
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mesh_files import not_kept, write_mesh
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import Material, SourceMesh
from tests.meshes.globe import globe
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import png, textured_box


def colored_ball() -> SourceMesh:
    ball = sphere(subdivisions=2)
    colors = np.arange(4 * len(ball.vertices), dtype=np.uint64).astype(np.uint8).reshape(-1, 4)
    colors[:, 3] = 255
    return replace(SourceMesh.plain(ball), colors=colors)


@pytest.mark.parametrize("kind", ["glb", "ply", "stl"])
@pytest.mark.parametrize("make", [globe, textured_box, colored_ball])
def test_every_format_is_read_back_as_the_same_surface(tmp_path, kind, make):
    mesh, path = make(), tmp_path / f"model.{kind}"
    write_mesh(mesh, MeshFileFormat(kind), path)
    found, wanted = measure_mesh(read_mesh(path)), measure_mesh(mesh)
    assert found.is_watertight
    assert found.faces == wanted.faces
    assert found.volume_m3 == pytest.approx(wanted.volume_m3, rel=1e-6)
    assert trimesh.load(path, force="mesh").volume == pytest.approx(wanted.volume_m3, rel=1e-4)


def test_glb_keeps_everything(tmp_path):
    mesh = textured_box()
    write_mesh(mesh, MeshFileFormat.GLB, tmp_path / "model.glb")
    found = read_mesh(tmp_path / "model.glb")
    assert [look.name for look in found.materials] == ["paint", "lid"]
    assert found.materials[0].texture == mesh.materials[0].texture
    sides = found.face_materials == 0
    wanted = mesh.uvs[mesh.faces[mesh.face_materials == 0]]
    np.testing.assert_array_equal(found.uvs[found.faces[sides]], wanted)


def test_ply_keeps_colours_of_vertices(tmp_path):
    mesh = colored_ball()
    write_mesh(mesh, MeshFileFormat.PLY, tmp_path / "model.ply")
    found = read_mesh(tmp_path / "model.ply")
    np.testing.assert_array_equal(found.colors[found.faces], mesh.colors[mesh.faces])


def test_obj_is_read_by_trimesh_with_its_texture_and_closed(tmp_path):
    write_mesh(textured_box(), MeshFileFormat.OBJ, tmp_path / "model_obj.zip")
    with zipfile.ZipFile(tmp_path / "model_obj.zip") as archive:
        assert set(archive.namelist()) == {"model.obj", "model.mtl", "texture_0.png"}
        archive.extractall(tmp_path)
        assert archive.read("texture_0.png") == png().data
    scene = trimesh.load(tmp_path / "model.obj", split_object=True, group_material=False)
    pieces = [*scene.geometry.values()] if isinstance(scene, trimesh.Scene) else [scene]
    assert sum(len(piece.faces) for piece in pieces) == 12
    again = read_mesh(tmp_path / "model.obj")
    assert measure_mesh(again).is_watertight
    assert measure_mesh(again).volume_m3 == pytest.approx(1)


def test_materials_of_obj_keep_their_names(tmp_path):
    box = textured_box()
    looks = (replace(box.materials[0], name="Red Paint"), Material("Red  Paint"))
    write_mesh(replace(box, materials=looks), MeshFileFormat.OBJ, tmp_path / "model_obj.zip")
    with zipfile.ZipFile(tmp_path / "model_obj.zip") as archive:
        archive.extractall(tmp_path)
        library = archive.read("model.mtl").decode()
    assert [line for line in library.splitlines() if line.startswith("newmtl")] == [
        "newmtl Red_Paint", "newmtl Red_Paint_1"
    ]  # fmt: skip
    again = read_mesh(tmp_path / "model.obj")
    assert [look.name for look in again.materials] == ["Red_Paint", "Red_Paint_1"]


def test_texture_coordinates_of_obj_count_from_below(tmp_path):
    write_mesh(globe(6), MeshFileFormat.OBJ, tmp_path / "model_obj.zip")
    with zipfile.ZipFile(tmp_path / "model_obj.zip") as archive:
        lines = io.TextIOWrapper(archive.open("model.obj")).read().splitlines()
    first = next(line for line in lines if line.startswith("vt"))
    assert first == "vt 0 1"  # the top of the globe
    assert sum(line.startswith("v ") for line in lines) == measure_mesh(globe(6)).places


def test_what_a_format_cannot_keep_is_named():
    assert not_kept(textured_box(), MeshFileFormat.GLB) == []
    assert not_kept(textured_box(), MeshFileFormat.OBJ) == []
    lost = ["textures", "texture coordinates", "materials"]
    assert not_kept(textured_box(), MeshFileFormat.STL) == lost
    assert not_kept(colored_ball(), MeshFileFormat.STL) == ["vertex colours"]
    assert not_kept(colored_ball(), MeshFileFormat.PLY) == []


def test_the_same_mesh_gives_the_same_bytes(tmp_path):
    mesh = replace(textured_box(), materials=(Material("a", texture=png()), Material("b")))
    for kind in MeshFileFormat:
        for name in ("one", "other"):
            write_mesh(mesh, kind, tmp_path / name)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes(), kind
