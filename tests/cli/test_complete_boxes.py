"""Boxes that are sent along with a mesh on the command line."""

from __future__ import annotations

import json

import pytest

from backend.cli.main import main
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines import catalogue
from tests.meshes.source_shapes import three_balls
from tests.pipelines.scripted_parts import scripted_registry, small_pictures  # noqa: F401
from tests.web.meshes import without_child  # noqa: F401

pytestmark = pytest.mark.usefixtures("without_child")
FIRST, LAST = [[-0.6] * 3, [0.6] * 3], [[3.4, -0.6, -0.6], [4.6, 0.6, 0.6]]


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "default_registry", scripted_registry)
    write_source_mesh(three_balls(1), tmp_path / "balls.glb")
    boxes = tmp_path / "drawn.json"
    out = tmp_path / "out"
    return boxes, out, ["complete", str(tmp_path / "balls.glb"), "-o", str(out), "--boxes"]


def test_boxes_become_parts(command, capsys):
    boxes, out, arguments = command
    boxes.write_text(json.dumps([{"index": 0, "box": FIRST}, {"index": 1, "box": LAST}]))
    assert main([*arguments, str(boxes)]) == 0
    rows = json.loads((out / "part_tree.json").read_text())["parts"]
    assert [row.get("method") for row in rows] == ["was_closed", "was_closed", None]
    assert "80 faces lie in no box" in " ".join(capsys.readouterr().err.split())


def test_boxes_of_another_mesh_are_refused_before_any_work(command, capsys):
    boxes, out, arguments = command
    boxes.write_text(json.dumps([FIRST, [[50, 0, 0], [51, 1, 1]]]))
    assert main([*arguments, str(boxes)]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "Box 1 lies apart from the mesh." in shown
    assert "→" in shown
    assert not out.exists()
