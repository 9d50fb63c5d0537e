"""What is written as GLB comes back as it was, here and in another program."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import trimesh

from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_glb import write_source_mesh
from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from tests.meshes.reading.files import picture
from tests.meshes.solids import sphere

BALL = SourceMesh.plain(sphere())


def coloured_ball() -> SourceMesh:
    draw = np.random.default_rng(1)
    count = len(BALL.vertices)
    paint = Material("paint", (1, 0.5, 0.25, 1), 0.5, 0.25, EncodedImage(picture(), "image/png"))
    return replace(
        BALL,
        uvs=draw.random((count, 2), dtype=np.float32),
        colors=draw.integers(0, 256, (count, 4), dtype=np.uint8),
        materials=(paint, Material("plain", is_double_sided=True)),
        face_materials=np.repeat([0, 1, 0], [100, 500, len(BALL.faces) - 600]).astype(np.int16),
    )


def test_everything_comes_back_in_its_order(tmp_path):
    mesh = coloured_ball()
    write_source_mesh(mesh, tmp_path / "ball.glb")
    found = read_mesh(tmp_path / "ball.glb")
    for name in ("vertices", "faces", "uvs", "colors", "face_materials"):
        np.testing.assert_array_equal(getattr(found, name), getattr(mesh, name))
    assert found.materials == mesh.materials


def test_a_mesh_with_nothing_but_faces_stays_so(tmp_path):
    write_source_mesh(BALL, tmp_path / "ball.glb")
    found = read_mesh(tmp_path / "ball.glb")
    assert (found.uvs, found.colors) == (None, None)
    assert found.materials == BALL.materials
    np.testing.assert_array_equal(found.faces, BALL.faces)


def test_another_program_reads_the_same(tmp_path):
    mesh = coloured_ball()
    write_source_mesh(mesh, tmp_path / "ball.glb")
    scene = trimesh.load_scene(io.BytesIO((tmp_path / "ball.glb").read_bytes()), file_type="glb")
    pieces = list(scene.geometry.values())
    assert [len(piece.faces) for piece in pieces] == [100, 500, len(mesh.faces) - 600]
    corners = np.concatenate([piece.triangles for piece in pieces])
    np.testing.assert_allclose(corners, mesh.vertices[mesh.faces], rtol=1e-6)
    assert np.asarray(pieces[0].visual.material.baseColorTexture).shape == (8, 8, 3)


def test_materials_that_change_all_the_time_are_sorted(tmp_path):
    kinds = np.arange(len(BALL.faces)) % 2
    many = np.tile(BALL.faces, (4, 1))
    mesh = replace(
        BALL,
        faces=many,
        materials=(Material("a"), Material("b")),
        face_materials=np.tile(kinds, 4).astype(np.int16),
    )
    assert len(many) > 4096
    write_source_mesh(mesh, tmp_path / "ball.glb")
    found = read_mesh(tmp_path / "ball.glb")
    for kind in (0, 1):
        np.testing.assert_array_equal(
            found.faces[found.face_materials == kind], many[mesh.face_materials == kind]
        )
