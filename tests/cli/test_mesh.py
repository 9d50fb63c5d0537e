"""The command ``mesh``, in this process."""

from __future__ import annotations

import json

import pytest

from backend.catalog import MeshFileFormat
from backend.cli.main import main
from backend.meshes.mesh_files import write_mesh
from backend.pipelines import model_files
from tests.meshes.globe import globe, without_faces
from tests.web.meshes import without_child  # noqa: F401

pytestmark = pytest.mark.usefixtures("without_child")


@pytest.fixture(autouse=True)
def small_picture(monkeypatch):
    monkeypatch.setattr(model_files, "THUMBNAIL_PX", 48)


@pytest.fixture
def stl(tmp_path):
    path = tmp_path / "globe.stl"
    write_mesh(without_faces(globe(), 500), MeshFileFormat.STL, path)
    return path


def test_a_mesh_is_mended_reduced_and_converted(tmp_path, stl, capsys):
    out = tmp_path / "out"
    asked = ["--target-faces", "200", "--format", "ply", "--units", "mm", "--up", "z"]
    assert main(["mesh", str(stl), "-o", str(out), *asked]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["mesh_report.json", "model.ply"]
    shown = capsys.readouterr().err
    assert "2,207 faces became 200, watertight." in shown
    assert "holes that were filled: 1" in shown
    assert "PLY in mm, Z up." in shown
    report = json.loads((out / "mesh_report.json").read_text())
    assert report["after"]["faces"] == 200


def test_what_is_left_is_told(tmp_path, stl, capsys):
    assert main(["mesh", str(stl), "-o", str(tmp_path / "out"), "--no-repair"]) == 0
    shown = capsys.readouterr().err
    assert "2,207 faces became 2,207, not watertight." in shown
    assert "Left. Open borders, of 3 edges in all: 1." in shown
    assert (tmp_path / "out" / "model.glb").exists()


def test_info_counts_and_writes_nothing(tmp_path, stl, capsys):
    assert main(["mesh", str(stl), "--info", "--from-units", "mm"]) == 0
    shown = capsys.readouterr().out
    assert "0.002 x 0.002 x 0.002 m" in shown
    assert "none, it is not closed" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["globe.stl"]
    assert main(["mesh", str(stl), "--info", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["faces"], figures["border_edges"]) == (2207, 3)
    assert figures["volume_m3"] is None


def test_a_folder_is_needed_unless_it_is_only_counted(stl, capsys):
    assert main(["mesh", str(stl)]) == 1
    assert "--info" in capsys.readouterr().err
    assert main(["mesh", str(stl), "--info", "-o", "out"]) == 1
    assert "Leave -o" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--info"], ["-o", "out"]])
def test_what_is_no_mesh_is_refused_with_advice(tmp_path, capsys, arguments, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.glb").write_bytes(b"hello, I am no mesh")
    assert main(["mesh", "bad.glb", *arguments]) == 1
    assert "Save it as GLB, OBJ, PLY or STL." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_wrong_number_is_refused_before_anything_is_read(tmp_path, capsys):
    arguments = ["mesh", str(tmp_path / "none.glb"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--target-faces", "0"]) == 1
    assert "target_faces" in capsys.readouterr().err
