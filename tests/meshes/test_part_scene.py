from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.meshes.part_colors import linear_of, part_color
from backend.meshes.part_scene import PartScene, ScenePart, write_boxes, write_surface
from backend.meshes.part_split import ShadedMesh, split
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import Material
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls


def parse(path):
    """Read a GLB by hand: its document, and a function that reads an accessor."""
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document = json.loads(data[20 : 20 + length])
    binary = data[20 + length + 8 :]
    assert len(binary) == document["buffers"][0]["byteLength"]
    kinds = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
    widths = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}

    def accessor(number):
        found = document["accessors"][number]
        view = document["bufferViews"][found["bufferView"]]
        width = widths[found["type"]]
        dtype = kinds[found["componentType"]]
        assert view["byteOffset"] % 4 == 0
        values = np.frombuffer(binary, dtype, found["count"] * width, view["byteOffset"])
        return values.reshape(-1, width) if width > 1 else values

    return document, accessor


@pytest.fixture
def balls():
    mesh = three_balls(1)
    shapes = split(ShadedMesh.of(mesh), ball_of_face(mesh), 3)
    return [ScenePart(index, shape) for index, shape in enumerate(shapes)]


def test_each_part_is_a_node_with_a_material_of_its_own(tmp_path, balls):
    PartScene(balls).write(tmp_path / "parts.glb")
    document, accessor = parse(tmp_path / "parts.glb")
    names = ["part_00", "part_01", "part_02"]
    assert [node["name"] for node in document["nodes"]] == names
    assert [look["name"] for look in document["materials"]] == names
    for index, (node, shown) in enumerate(zip(document["nodes"], balls, strict=True)):
        primitive = document["meshes"][node["mesh"]]["primitives"][0]
        assert (accessor(primitive["attributes"]["POSITION"]) == shown.shape.mesh.vertices).all()
        assert accessor(primitive["indices"]).reshape(-1, 3).tolist() == (
            shown.shape.mesh.faces.tolist()
        )
        assert node["extras"] == {"part": index, "color": part_color(index)}
        look = document["materials"][primitive["material"]]["pbrMetallicRoughness"]
        assert look["baseColorFactor"] == pytest.approx([*linear_of(part_color(index)), 1])


def test_moved_nodes_carry_their_offsets_and_the_scene_itself_stays(tmp_path, balls):
    scene = PartScene(balls)
    offsets = np.array([[-1.4, 0, 0], [0, 0, 0], [1.4, 0, 0]])
    scene.write_moved(offsets, tmp_path / "exploded.glb")
    scene.write(tmp_path / "parts.glb")
    document, _ = parse(tmp_path / "exploded.glb")
    assert [node["translation"] for node in document["nodes"]] == offsets.tolist()
    assert [node["extras"]["offset"] for node in document["nodes"]] == offsets.tolist()
    assert "translation" not in parse(tmp_path / "parts.glb")[0]["nodes"][0]
    moved = trimesh.load(tmp_path / "exploded.glb")
    assert moved.bounds[:, 0] == pytest.approx([-1.9, 5.9])


def test_a_textured_part_keeps_texture_and_coordinates_and_the_texture_is_stored_once(tmp_path):
    mesh = textured_box()
    labels = np.zeros(12, dtype=np.int32)
    labels[[np.flatnonzero(mesh.face_materials == kind)[0] for kind in (0, 1)]] = 1
    shapes = split(ShadedMesh.of(mesh), labels, 2)
    parts = [ScenePart(index, shape) for index, shape in enumerate(shapes)]
    PartScene(parts).write(tmp_path / "parts.glb")
    document, accessor = parse(tmp_path / "parts.glb")
    assert len(document["images"]) == 1
    names = {look["name"] for look in document["materials"]}
    assert names == {"part_00", "part_00_1", "part_01", "part_01_1"}
    read = read_mesh(tmp_path / "parts.glb")
    assert len(read.faces) == 12
    assert {look.texture for look in read.materials} == {mesh.materials[0].texture, None}
    first = document["meshes"][0]["primitives"]
    assert first[0]["attributes"] == first[1]["attributes"], "shared by both materials"
    assert (accessor(first[0]["attributes"]["TEXCOORD_0"]) == parts[0].shape.mesh.uvs).all()


def test_each_geometry_that_trimesh_loads_is_named_after_its_part(tmp_path):
    mesh = three_balls(1)
    kinds = np.zeros(len(mesh.faces), dtype=np.int16)
    kinds[-10:] = 1
    capped = replace(mesh, materials=(Material(), Material("cap")), face_materials=kinds)
    shape = ShadedMesh.of(capped)
    PartScene([ScenePart(part, shape) for part in range(2)]).write(tmp_path / "p.glb")
    scene = trimesh.load(tmp_path / "p.glb", process=False)
    assert sorted(name[:7] for name in scene.geometry) == ["part_00", "part_00"] + ["part_01"] * 2


def test_caps_have_their_own_material_and_colours_of_vertices_become_linear(tmp_path):
    mesh = three_balls(1)
    grey = np.full((len(mesh.vertices), 4), [128, 128, 128, 255], dtype=np.uint8)
    kinds = np.zeros(len(mesh.faces), dtype=np.int16)
    kinds[-10:] = 1
    capped = replace(
        mesh, colors=grey, materials=(Material(), Material("cap")), face_materials=kinds
    )
    PartScene([ScenePart(4, ShadedMesh.of(capped), {"method": "cap"})]).write(tmp_path / "p.glb")
    document, accessor = parse(tmp_path / "p.glb")
    assert [look["name"] for look in document["materials"]] == ["part_04", "part_04_cap"]
    assert document["nodes"][0]["extras"]["method"] == "cap"
    color = document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    assert document["accessors"][color]["normalized"] is True
    assert accessor(color)[0] / 65535 == pytest.approx([0.2158605] * 3 + [1], abs=1e-4)


def test_the_surface_names_the_patch_of_each_vertex(tmp_path):
    mesh = textured_box()
    patches = np.repeat(np.arange(6), 2)
    write_surface(ShadedMesh.of(mesh), patches, tmp_path / "surface.glb")
    document, accessor = parse(tmp_path / "surface.glb")
    assert [node["name"] for node in document["nodes"]] == ["surface"]
    primitives = document["meshes"][0]["primitives"]
    assert len(primitives) == 2
    seen = 0
    for kind, primitive in enumerate(primitives):
        faces = accessor(primitive["indices"]).reshape(-1, 3).astype(int)
        vertex_patches = accessor(primitive["attributes"]["_PATCH"])
        expected = patches[mesh.face_materials == kind]
        assert (vertex_patches[faces] == expected[:, None]).all()
        seen += len(faces)
    assert seen == 12
    assert read_mesh(tmp_path / "surface.glb").materials == mesh.materials


def test_boxes_are_written_as_twelve_lines_each(tmp_path):
    boxes = np.array([[[0, 0, 0], [1, 2, 3]], [[-1, -1, -1], [0, 0, 0]]], dtype=np.float32)
    write_boxes(boxes, tmp_path / "boxes.glb")
    document, accessor = parse(tmp_path / "boxes.glb")
    for mesh, box in zip(document["meshes"], boxes, strict=True):
        primitive = mesh["primitives"][0]
        assert primitive["mode"] == 1
        ends = accessor(primitive["attributes"]["POSITION"])[
            accessor(primitive["indices"]).reshape(-1, 2)
        ]
        sides = np.abs(ends[:, 0] - ends[:, 1])
        assert len(sides) == 12
        assert ((sides > 0).sum(axis=1) == 1).all(), "along one axis each"
        assert sides.sum(axis=0) == pytest.approx(4 * (box[1] - box[0]))


def test_a_mesh_of_many_vertices_has_wide_indices(tmp_path):
    count = 65_535 // 3 + 1
    corners = np.tile(np.eye(3, dtype=np.float32), (count, 1))
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    mesh = three_balls(0)
    many = replace(
        mesh, vertices=corners, faces=faces, face_materials=np.zeros(count, dtype=np.int16)
    )
    PartScene([ScenePart(0, ShadedMesh(many, corners))]).write(tmp_path / "many.glb")
    document, accessor = parse(tmp_path / "many.glb")
    assert accessor(document["meshes"][0]["primitives"][0]["indices"])[-1] == 3 * count - 1
