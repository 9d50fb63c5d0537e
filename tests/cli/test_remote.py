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
