"""The same cube in every format is the same cube, in the order of its faces."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from backend.errors import EmptyFile, MeshCorrupt, UnsupportedMesh, UnusableMesh
from backend.meshes.reading.mesh_format import MeshFormat, mesh_format
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import judge_mesh, read_mesh
from tests.meshes.reading.files import (
    CUBE,
    cube_file,
    obj_of_cube,
    ply_of_cube,
    stl_of_cube,
    stl_text_of_cube,
)

FILES = {
    "glb": (cube_file().glb, MeshFormat.GLB),
    "gltf": (cube_file().gltf, MeshFormat.GLTF),
    "obj": (obj_of_cube, MeshFormat.OBJ),
    "stl": (stl_of_cube, MeshFormat.STL),
    "stl text": (stl_text_of_cube, MeshFormat.STL_TEXT),
    "ply little": (ply_of_cube, MeshFormat.PLY),
    "ply big": (lambda: ply_of_cube(">"), MeshFormat.PLY),
    "ply text": (lambda: ply_of_cube(""), MeshFormat.PLY),
}


def judged(data: bytes, **limits: int):
    return judge_mesh(data, MeshLimits(**limits))


@pytest.mark.parametrize("name", FILES)
def test_every_face_is_there_in_its_order(name):
    make, kind = FILES[name]
    found = judged(make())
    assert (found.format, found.components) == (kind, 1)
    np.testing.assert_array_equal(found.mesh.vertices[found.mesh.faces], CUBE.vertices[CUBE.faces])
    assert len(found.mesh.vertices) == 8  # corners of a soup are joined
    assert len(found.mesh.materials) == 1


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path):
    path = tmp_path / "model.ckpt"
    path.write_bytes(obj_of_cube())
    assert len(read_mesh(path).faces) == 12


FOREIGN = {
    "pickle": (b"\x80\x04\x95\x00\x00", "pickle"),
    "old pickle": (b"cposix\nsystem\n(S'id'\ntR.", "text, but not"),
    "safetensors": (struct.pack("<Q", 2) + b"{}" + bytes(90), "safetensors"),
    "zip or checkpoint": (b"PK\x03\x04" + bytes(200), "checkpoint"),
    "gzip": (b"\x1f\x8b\x08" + bytes(200), "gzip"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG"),
    "fbx": (b"Kaydara FBX Binary  \0" + bytes(200), "FBX"),
    "html": (b"<!doctype html>", "HTML"),
    "prose": (b"very long text about vertices", "text, but not"),
    "json of something else": (b'{"type": "module"}', "'asset'"),
    "gltf 1": (b'{"asset": {"version": "1.0"}}', "version '1.0'"),
    "random bytes": (bytes(range(256)) * 3, "not GLB"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_mesh_is_named(name):
    data, words = FOREIGN[name]
    with pytest.raises(UnsupportedMesh, match=words):
        judged(data)


def test_no_bytes_are_an_empty_file():
    with pytest.raises(EmptyFile):
        judged(b"")


def test_a_binary_stl_that_begins_like_a_text_is_told_by_its_size():
    data = b"solid made by a CAD program".ljust(80) + stl_of_cube()[80:]
    assert mesh_format(data) is MeshFormat.STL
    assert len(judged(data).mesh.faces) == 12


def test_an_obj_keeps_texture_points_names_of_materials_and_the_order():
    data = (
        b"mtllib ../../etc/passwd\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\n"
        b"vn 0 0 1\nusemtl wood\nf 1/1/1 2/2/1 3/3/1\nusemtl iron\nf -4/-3 \\\n -2/-1 -1/-3\n"
        b"usemtl wood\nf 1/1 2/2 3/3 4/1\n"
    )
    mesh = judged(data).mesh
    assert mesh.vertices[mesh.faces[1]].tolist() == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]
    names = [mesh.materials[kind].name for kind in mesh.face_materials]
    assert names == ["wood", "iron", "wood", "wood"]
    assert mesh.uvs[mesh.faces[0]].tolist() == [[0, 1], [1, 1], [1, 0]]  # from the top
    assert len(mesh.vertices) == 4  # a normal makes no vertex of its own


def test_an_obj_may_come_from_windows():
    data = b"\xef\xbb\xbfv 0 0 0\r\nv 1 0 0\r\n  v 0 1 0\r\nf 1 2 3\r\n"
    assert judged(data).mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_an_obj_of_a_scanner_has_colours():
    mesh = judged(b"v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 0.5\nf 1 2 3\n").mesh
    assert mesh.colors.tolist() == [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 128, 255]]


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_a_ply_of_triangles_and_a_quad_with_colours(order):
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    head = (
        f"ply\nformat {name} 1.0\nelement vertex 4\nproperty double x\nproperty double y\n"
        "property double z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
        "element face 3\nproperty uchar flags\nproperty list uchar int vertex_index\n"
        "element camera 1\nproperty float view\nend_header\n"
    ).encode()
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    faces = [(0, 1, 2), (0, 1, 2, 3), (1, 2, 3)]
    if order:
        body = b"".join(struct.pack(f"{order}3d3B", *point, 1, 2, 3) for point in points)
        body += b"".join(
            struct.pack(f"{order}BB{len(face)}i", 0, len(face), *face) for face in faces
        ) + bytes(4)
    else:
        body = b"".join(b"%d %d %d 1 2 3\n" % point for point in points)
        body += b"".join(b"0 %d %s\n" % (len(f), b" ".join(b"%d" % i for i in f)) for f in faces)
        body += b"1.5\n"
    mesh = judged(head + body).mesh
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [1, 2, 3]]
    assert mesh.vertices.tolist() == [list(point) for point in points]
    assert mesh.colors.tolist() == [[1, 2, 3, 255]] * 4


def test_a_cloud_of_points_is_no_surface():
    data = (
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n0 0 0\n"
    )
    with pytest.raises(UnusableMesh, match="no faces") as caught:
        judged(data)
    assert "Reconstruct" in caught.value.advice


WRONG_TEXT = {
    "a face of two": b"v 0 0 0\nv 1 0 0\nf 1 2\n",
    "a face of words": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 x\n",
    "a vertex of words": b"v 0 0 0\nv a b c\nv 0 1 0\nf 1 2 3\n",
    "vertices of changing length": b"v 0 0 0\nv 1 0\nv 0 1 0\nf 1 2 3\n",
    "an stl with four corners": b"solid x\nvertex 0 0 0\nvertex 0 0 1\nvertex 0 1 0\nvertex 1 1 1",
    "an stl with words": b"solid x\nvertex a b c\nvertex 0 0 1\nvertex 0 1 0\nendsolid",
    "a ply without an end": b"ply\nformat ascii 1.0\nelement vertex 3\n",
    "a ply of unknown type": b"ply\nformat ascii 1.0\nelement v 1\nproperty long x\nend_header\n1",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TEXT)
def test_text_that_is_wrong_is_damage(name):
    with pytest.raises(MeshCorrupt):
        judged(WRONG_TEXT[name])
