"""The commands on meshes, in this process, with scripted engines."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
import trimesh

from backend.cli.main import main
from backend.engines.builtin import default_registry
from backend.pipelines import catalogue
from backend.pipelines.part_files import PartFiles
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.scripted_parts import scripted_registry, small_pictures  # noqa: F401
from tests.web.meshes import without_child  # noqa: F401
from tests.web.test_abuse_meshes import ROWS
from tests.web.test_part_numbers import MESH, WRONG


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    """Run scripted engines."""
    monkeypatch.setattr(catalogue, "default_registry", scripted_registry)


@pytest.fixture
def own_engines(scripted, monkeypatch):
    """Run those of this build after all."""
    monkeypatch.setattr(catalogue, "default_registry", default_registry)


@pytest.fixture
def stl(tmp_path):
    mesh = three_balls(1)
    path = tmp_path / "balls.stl"
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)
    return path


def test_a_mesh_becomes_a_folder_of_parts(tmp_path, stl, capsys):
    out = tmp_path / "new" / "parts"
    assert main(["segment", str(stl), "-o", str(out), "--parts", "5", "--seed", "3"]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"part_0{part}.{kind}" for part in range(5) for kind in ("glb", "stl")]
        + ["parts.glb", "exploded.glb", "boxes.json", "face_ids.npy", "part_tree.json"]
        + ["thumbnail.png"]
    )
    assert len(np.unique(np.load(out / "face_ids.npy"))) == 5
    shown = capsys.readouterr().err
    assert "part segmentation" in shown
    assert "5 parts (the engine suggests 3) (seed 3)" in shown


@pytest.mark.usefixtures("without_child")
def test_part_numbers_of_one_command_are_taken_by_the_other(tmp_path, stl, capsys):
    ids = tmp_path / "ids.npy"
    np.save(ids, np.minimum(ball_of_face(three_balls(1)), 1))
    arguments = ["complete", str(stl), "-o", str(tmp_path / "closed"), "--face-ids", str(ids)]
    assert main(arguments) == 0
    assert "2 parts, 2 of them closed" in capsys.readouterr().err
    tree = json.loads((tmp_path / "closed" / "part_tree.json").read_text())
    assert [part["method"] for part in tree["parts"]] == ["was_closed"] * 2


@pytest.mark.usefixtures("without_child")
def test_parameters_without_an_option_of_their_own_reach_the_engine(tmp_path, stl, capsys):
    out = tmp_path / "out"
    assert main(["segment", str(stl), "-o", str(out), "-p", "granularity=0.25"]) == 0
    assert json.loads((out / "part_tree.json").read_text())["count"] == 5
    assert main(["segment", str(stl), "-o", str(out), "-p", "granularity=0"]) == 1
    assert "granularity" in capsys.readouterr().err


def test_what_a_child_process_refuses_is_explained_and_leaves_no_folder(tmp_path, capsys):
    path = tmp_path / "bad.glb"
    path.write_bytes(b"hello, I am no mesh")
    assert main(["segment", str(path), "-o", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert "The content is text" in shown
    assert "→" in shown, "advice"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("row", ROWS)
def test_hostile_meshes_are_refused_as_the_server_refuses_them(tmp_path, capsys, monkeypatch, row):
    monkeypatch.setenv("MESHKILN_MAX_MESH_FACES", "1000")
    (tmp_path / "mesh").write_bytes(ROWS[row][0])
    assert main(["complete", str(tmp_path / "mesh"), "-o", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("meshkiln: ")
    assert "→" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("case", WRONG)
def test_part_numbers_that_do_not_fit_are_refused_before_any_work(tmp_path, capsys, case):
    data, words = WRONG[case]
    (tmp_path / "cube.glb").write_bytes(MESH)
    (tmp_path / "ids.npy").write_bytes(data)
    arguments = ["complete", str(tmp_path / "cube.glb"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--face-ids", str(tmp_path / "ids.npy")]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert words in shown
    assert "made from this very mesh" in shown
    assert "closing" not in shown.lower()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/parts.glb"), "out/parts.glb: No sp"),
        (MemoryError(), "more memory than there is"),
    ],
)
def test_a_machine_at_its_limits_is_explained(tmp_path, stl, capsys, monkeypatch, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(PartFiles, "write", fail)
    assert main(["segment", str(stl), "-o", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert told in shown
    assert "→" in shown, "advice"
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["segment", str(tmp_path / "no.glb"), "-o", str(tmp_path / "out")]) == 1
    assert "no.glb" in capsys.readouterr().err


def test_a_file_where_the_folder_should_be_is_refused_before_any_work(tmp_path, stl, capsys):
    assert main(["segment", str(stl), "-o", str(stl)]) == 1
    assert "folder" in capsys.readouterr().err


@pytest.mark.usefixtures("own_engines")
def test_a_picture_becomes_a_model_and_its_closed_parts(tmp_path, figure_png, capsys):
    (tmp_path / "doll.png").write_bytes(figure_png)
    arguments = ["generate", str(tmp_path / "doll.png"), "--parts", "3", "--preset", "draft"]
    assert main([*arguments, "-o", str(tmp_path / "doll")]) == 0
    assert "3 of them closed" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "doll").iterdir()}
    assert {"model.glb", "thumbnail.png", "parts.glb", "part_02.stl"} <= names
    assert not names & {"preview.glb", "mask.png", "surface.glb", "parts.zip"}
    for part in range(3):
        stl = trimesh.load(tmp_path / "doll" / f"part_0{part}.stl")
        assert stl.is_watertight


def test_parts_of_a_picture_need_a_folder(tmp_path, figure_png, capsys):
    picture = tmp_path / "doll.png"
    picture.write_bytes(figure_png)
    arguments = ["generate", str(picture), "--parts", "auto", "-o", str(tmp_path / "doll.glb")]
    assert main(arguments) == 1
    assert "folder" in capsys.readouterr().err
    assert main(["generate", str(picture), "--parts", "many", "-o", str(tmp_path / "doll")]) == 1
    assert "part_count" in capsys.readouterr().err
