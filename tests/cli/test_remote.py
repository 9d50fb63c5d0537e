"""The command line against a running server."""

from __future__ import annotations

import pytest
import trimesh

from backend.cli.main import main
from bench.running_server import running_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


def test_model_is_made_on_the_server_and_fetched(server, tmp_path, figure_png, capsys):
    picture, output = tmp_path / "doll.png", tmp_path / "doll.ply"
    picture.write_bytes(figure_png)
    arguments = ["generate", str(picture), "-o", str(output), "--server", server.url]
    assert main([*arguments, "--preset", "draft", "--mask", str(picture)]) == 0
    assert trimesh.load(output).is_watertight
    assert "outline" in capsys.readouterr().err
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


def test_a_folder_becomes_models_on_the_server(server, tmp_path, figure_png, capsys):
    folder, out = tmp_path / "toys", tmp_path / "out"
    folder.mkdir()
    for name in ("doll.png", "other.png"):
        (folder / name).write_bytes(figure_png)
    arguments = ["batch", str(folder), "-o", str(out), "--server", server.url, "--preset", "draft"]
    assert main(arguments) == 0
    assert "2 of 2 pictures are models" in capsys.readouterr().err
    assert trimesh.load(out / "other" / "model.ply").is_watertight
