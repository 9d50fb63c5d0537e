"""The command line against a running server."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.cli.main import main
from bench.running_server import running_server
from tests.meshes.source_shapes import ball_of_face, three_balls

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


def test_model_is_made_on_the_server_and_fetched(server, tmp_path, figure_png, capsys):
    picture, output = tmp_path / "doll.png", tmp_path / "doll.ply"
    picture.write_bytes(figure_png)
    arguments = ["generate", str(picture), "-o", str(output), "--server", server.url]
    arguments += ["--mask", str(picture), "--back", str(picture)]
    assert main([*arguments, "--preset", "draft"]) == 0
    assert trimesh.load(output).is_watertight
    shown = capsys.readouterr().err
    assert "outline" in shown
    assert "this engine takes no other views" in shown
    assert main(["status", "--server", server.url]) == 0
    shown = capsys.readouterr().out
    assert "doll.png" in shown
    assert "succeeded" in shown


def test_what_the_server_refuses_is_explained(server, tmp_path, capsys):
    text = tmp_path / "note.png"
    text.write_text("hello")
    output = tmp_path / "m.glb"
    assert main(["generate", str(text), "-o", str(output), "--server", server.url]) == 1
    shown = capsys.readouterr().err
    assert "PNG, JPEG or WebP" in shown
    assert not output.exists()


def test_a_mesh_becomes_closed_parts_on_the_server(server, tmp_path, capsys):
    balls, ids = tmp_path / "balls.ply", tmp_path / "ids.npy"
    mesh = three_balls(1)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(balls)
    there = ["--server", server.url]
    assert main(["segment", str(balls), "-o", str(tmp_path / "parts"), *there]) == 0
    assert "3 parts" in capsys.readouterr().err
    assert len(trimesh.load(tmp_path / "parts" / "parts.glb").geometry) == 3
    np.save(ids, ball_of_face(mesh) // 2)
    arguments = ["complete", str(balls), "-o", str(tmp_path / "closed"), "--face-ids", str(ids)]
    assert main([*arguments, *there]) == 0
    assert "2 parts, 2 of them closed" in capsys.readouterr().err
    assert trimesh.load(tmp_path / "closed" / "part_01.stl").is_watertight


def test_a_mesh_that_the_server_refuses_is_explained(server, tmp_path, capsys):
    (tmp_path / "bad.glb").write_bytes(b"glTF and then something else")
    arguments = ["segment", str(tmp_path / "bad.glb"), "-o", str(tmp_path / "parts")]
    assert main([*arguments, "--server", server.url]) == 1
    shown = capsys.readouterr().err
    assert "meshkiln: " in shown
    assert "→" in shown
    assert not (tmp_path / "parts").exists()


def test_a_folder_becomes_models_on_the_server(server, tmp_path, figure_png, capsys):
    folder, out = tmp_path / "toys", tmp_path / "out"
    folder.mkdir()
    for name in ("doll.png", "other.png"):
        (folder / name).write_bytes(figure_png)
    arguments = ["batch", str(folder), "-o", str(out), "--server", server.url, "--preset", "draft"]
    assert main(arguments) == 0
    assert "2 of 2 pictures are models" in capsys.readouterr().err
    assert trimesh.load(out / "other" / "model.ply").is_watertight
