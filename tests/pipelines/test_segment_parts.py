from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.catalog import PIPELINES, CompletePartsParams, PipelineName, SegmentPartsParams
from backend.errors import BadInput, InvalidParameter, JobCanceled
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines import mesh_preview
from backend.pipelines.complete_parts import CompletePartsPipeline
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.segment_parts import SegmentPartsPipeline
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.scripted_parts import (
    scripted_registry,
    small_pictures,  # noqa: F401
)
from tests.pipelines.test_image_to_3d import NotingSink


@pytest.fixture
def mesh_file(tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "mesh.glb")
    return tmp_path / "mesh.glb"


def run(pipeline, params, inputs, sink=None):
    folder = inputs["mesh"].parent / "out"
    folder.mkdir()
    sink = sink or NotingSink()
    outcome = pipeline(scripted_registry()).run(PipelineRequest(inputs, params, folder), sink)
    return outcome, {file.name: file.path for file in outcome.outputs}, sink


def test_a_mesh_becomes_parts_stage_by_stage(mesh_file):
    params = SegmentPartsParams(part_count=5, seed=1)
    outcome, files, sink = run(SegmentPartsPipeline, params, {"mesh": mesh_file})
    stages = [*PIPELINES[PipelineName.SEGMENT_PARTS].stages]
    assert sink.started == stages
    assert [stage for stage, _ in sink.finished] == stages
    assert sink.engines == {"segmentation": "scripted_segmentation"}
    assert outcome.facts["parts"]["count"] == 5
    assert outcome.facts["source_mesh"] == {"faces": 240, "vertices": 126}
    assert [*outcome.facts["timings_s"]] == stages
    assert len(trimesh.load(files["parts.glb"]).geometry) == 5
    assert "completion" not in outcome.facts


def test_parts_become_closed_meshes(mesh_file):
    params = CompletePartsParams(seed=1)
    outcome, files, sink = run(CompletePartsPipeline, params, {"mesh": mesh_file})
    assert sink.started == [*PIPELINES[PipelineName.COMPLETE_PARTS].stages]
    assert sink.engines["completion"] == "scripted_closing"
    assert outcome.facts["completion"]["methods"] == {"was_closed": 3}
    assert sink.warnings == []
    scene = trimesh.load(files["parts.glb"])
    assert all(part.is_watertight for part in scene.geometry.values())


def test_what_stays_open_is_told(mesh_file):
    params = CompletePartsParams(seed=1, part_count=5)
    outcome, _, sink = run(CompletePartsPipeline, params, {"mesh": mesh_file})
    assert outcome.facts["completion"]["closed"] == 1
    assert sink.warnings == ["4 of 5 parts could not be closed and stay open."]


def test_parts_that_are_sent_along_are_taken(mesh_file):
    given = np.minimum(ball_of_face(three_balls(1)), 1)
    np.save(mesh_file.with_name("face_ids.npy"), given)
    inputs = {"mesh": mesh_file, "face_ids": mesh_file.with_name("face_ids.npy")}
    outcome, files, sink = run(CompletePartsPipeline, CompletePartsParams(seed=1), inputs)
    assert outcome.facts["parts"]["engine"] == "given"
    assert outcome.facts["parts"]["count"] == 2
    assert (np.load(files["face_ids.npy"]) == given).all()
    assert "segmentation" not in sink.engines


def test_parts_of_another_mesh_are_refused(mesh_file):
    np.save(mesh_file.with_name("face_ids.npy"), np.zeros(7, dtype=np.int32))
    inputs = {"mesh": mesh_file, "face_ids": mesh_file.with_name("face_ids.npy")}
    with pytest.raises(InvalidParameter, match="240 faces"):
        run(CompletePartsPipeline, CompletePartsParams(seed=1), inputs)


def test_a_damaged_mesh_fails_as_what_it_is(mesh_file):
    mesh_file.write_bytes(mesh_file.read_bytes()[:500])
    with pytest.raises(BadInput):
        run(SegmentPartsPipeline, SegmentPartsParams(seed=1), {"mesh": mesh_file})


def test_it_stops_when_asked(mesh_file):
    with pytest.raises(JobCanceled):
        run(
            SegmentPartsPipeline,
            SegmentPartsParams(seed=1),
            {"mesh": mesh_file},
            NotingSink(stop_after=1),
        )


@pytest.mark.parametrize(
    ("pipeline", "params"),
    [
        (SegmentPartsPipeline, SegmentPartsParams(seed=1)),
        (CompletePartsPipeline, CompletePartsParams(seed=1)),
    ],
)
def test_the_mesh_is_shown_before_its_parts_are_looked_for(mesh_file, pipeline, params):
    sink = NotingSink(stop_after=1)
    with pytest.raises(JobCanceled):
        run(pipeline, params, {"mesh": mesh_file}, sink)
    preview = mesh_file.parent / "out" / "preview.glb"
    assert sink.artifacts == {"preview.glb": ("preview", preview.stat().st_size)}
    assert len(trimesh.load(preview, force="mesh").faces) == 240


def test_a_mesh_too_large_for_a_page_is_not_shown(mesh_file, monkeypatch):
    monkeypatch.setattr(mesh_preview, "MOST_MB", 0.001)
    _, files, sink = run(SegmentPartsPipeline, SegmentPartsParams(seed=1), {"mesh": mesh_file})
    assert sink.artifacts == {}
    assert "preview.glb" not in files
