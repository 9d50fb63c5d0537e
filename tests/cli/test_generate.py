from __future__ import annotations

import pytest
import trimesh

from backend.cli.main import main


@pytest.fixture
def picture(tmp_path, figure_png):
    path = tmp_path / "doll.png"
    path.write_bytes(figure_png)
    return path


def test_the_pipeline_runs_in_this_process_and_writes_a_closed_mesh(tmp_path, picture, capsys):
    output = tmp_path / "doll.stl"
    arguments = ["generate", str(picture), "-o", str(output), "--left", str(picture)]
    assert main([*arguments, "--preset", "draft"]) == 0
    mesh = trimesh.load(output, process=True)
    assert mesh.is_watertight
    shown = capsys.readouterr().err
    assert "texture synthesis" in shown
    assert "outline" in shown, "the honest note about inflate is printed"
    assert "this engine takes no other views" in shown


def test_size_parameter_reaches_the_mesh(tmp_path, picture):
    output = tmp_path / "doll.ply"
    arguments = ["generate", str(picture), "-o", str(output), "-p", "size_m=0.25"]
    quick = ["-p", "texture=false", "-p", "grid_resolution=48"]
    assert main([*arguments, "--preset", "draft", "--seed", "1", *quick]) == 0
    assert trimesh.load(output).extents.max() == pytest.approx(0.25, rel=1e-3)


def test_a_view_that_is_no_picture_is_named(tmp_path, picture, capsys):
    text = tmp_path / "note.png"
    text.write_text("hello")
    output = tmp_path / "m.glb"
    assert main(["generate", str(picture), "-o", str(output), "--right", str(text)]) == 1
    assert "from the right" in capsys.readouterr().err
    assert not output.exists()


def test_a_file_that_is_no_picture_is_refused(tmp_path, capsys):
    text = tmp_path / "note.png"
    text.write_text("hello")
    assert main(["generate", str(text), "-o", str(tmp_path / "m.glb")]) == 1
    assert "PNG, JPEG or WebP" in capsys.readouterr().err
