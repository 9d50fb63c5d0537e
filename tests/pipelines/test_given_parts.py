from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from backend.catalog import CompletePartsParams
from backend.errors import InvalidParameter
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines.complete_parts import CompletePartsPipeline
from backend.pipelines.given_parts import given_parts
from backend.progress import StageProgress
from backend.web.part_boxes import normalised_boxes
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.scripted_parts import (
    small_pictures,  # noqa: F401
)
from tests.pipelines.test_image_to_3d import NotingSink
from tests.pipelines.test_segment_parts import run

FIRST, LAST = [[-0.6] * 3, [0.6] * 3], [[3.4, -0.6, -0.6], [4.6, 0.6, 0.6]]
NOTHING = [[0.9, -0.1, -0.1], [1.1, 0.1, 0.1]]


def given(folder, *, boxes=None, face_ids=None, sink=None):
    inputs = {}
    if boxes is not None:
        inputs["boxes"] = folder / "boxes.json"
        inputs["boxes"].write_text(json.dumps(boxes))
    if face_ids is not None:
        inputs["face_ids"] = folder / "face_ids.npy"
        np.save(inputs["face_ids"], face_ids)
    progress = StageProgress(sink or NotingSink(), "part_segmentation")
    return given_parts(three_balls(1), inputs, progress)


def test_faces_belong_to_the_boxes_and_those_in_none_are_not_completed(tmp_path):
    sink = NotingSink()
    parts = given(tmp_path, boxes=[FIRST, LAST], sink=sink)
    balls = ball_of_face(three_balls(1))
    assert (parts.face_parts == np.array([0, -1, 1])[balls]).all()
    assert (parts.division.face_parts == np.array([0, 2, 1])[balls]).all()
    assert parts.division.count == 3
    assert parts.boxes.tolist() == np.array([FIRST, LAST], np.float32).tolist()
    assert "80 faces lie in no box" in sink.warnings[0]


def test_boxes_keep_their_numbers_though_one_holds_nothing(tmp_path):
    parts = given(tmp_path, boxes=[[[-1, -1, -1], [5, 1, 1]], NOTHING, NOTHING])
    assert parts.division.count == 3
    assert set(parts.face_parts.tolist()) == {0}


def test_part_numbers_decide_and_boxes_go_with_them_one_for_each(tmp_path):
    balls = ball_of_face(three_balls(1))
    parts = given(tmp_path, boxes=[FIRST, FIRST, LAST], face_ids=balls)
    assert (parts.face_parts == balls).all()
    assert len(parts.boxes) == 3
    with pytest.raises(InvalidParameter, match="2 boxes and 3 parts") as caught:
        given(tmp_path, boxes=[FIRST, LAST], face_ids=balls)
    assert caught.value.fields[0].pointer == "/boxes"


@pytest.mark.parametrize("boxes", [[], [1, 2], [[FIRST]], [[FIRST[0]]], {"a": 1}])
def test_a_file_that_the_intake_did_not_write_is_refused(tmp_path, boxes):
    with pytest.raises(InvalidParameter):
        given(tmp_path, boxes=boxes)


def test_boxes_become_closed_parts_and_the_rest_stays_as_it_is(tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "mesh.glb")
    (tmp_path / "boxes.json").write_text(json.dumps([FIRST, LAST]))
    inputs = {"mesh": tmp_path / "mesh.glb", "boxes": tmp_path / "boxes.json"}
    outcome, files, _ = run(CompletePartsPipeline, CompletePartsParams(seed=1), inputs)
    assert outcome.facts["completion"]["methods"] == {"was_closed": 2}
    shown = trimesh.load(files["parts.glb"]).geometry
    assert sorted(shown) == ["part_00", "part_01", "part_02"]
    assert len(shown["part_02"].faces) == 80, "what is in no box"
    assert len(trimesh.load(files["part_02.stl"]).faces) == 80
    rows = json.loads(files["part_tree.json"].read_text())["parts"]
    assert [row.get("method") for row in rows] == ["was_closed", "was_closed", None]
    assert np.load(files["face_ids.npy"]).max() == 2


def test_boxes_of_a_result_can_be_sent_again_though_one_held_nothing(tmp_path):
    mesh = three_balls(1)
    write_source_mesh(mesh, tmp_path / "mesh.glb")
    (tmp_path / "boxes.json").write_text(json.dumps([FIRST, NOTHING, LAST]))
    inputs = {"mesh": tmp_path / "mesh.glb", "boxes": tmp_path / "boxes.json"}
    _, files, _ = run(CompletePartsPipeline, CompletePartsParams(seed=1), inputs)
    found = json.loads(files["boxes.json"].read_text())
    assert [part["index"] for part in found] == [0, 2, 3]
    again = normalised_boxes(files["boxes.json"].read_bytes(), [[-1, -1, -1], [5, 1, 1]])
    assert len(json.loads(again)) == 3
