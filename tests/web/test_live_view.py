from __future__ import annotations

import copy

import pytest

from backend.web.live_view import apply_event

STAGES = ("image_preprocessing", "shape_generation")


def stage(name, **more):
    empty = {"status": "pending", "progress": 0.0, "step": None, "steps": None, "elapsed_s": None}
    return {"name": name} | empty | more


@pytest.fixture
def job():
    return {
        "id": "j", "status": "queued", "queue_position": 3, "attempt": 0, "progress": 0.0,
        "stage": None, "stage_index": 0, "stages": [stage(name) for name in STAGES],
        "warnings": [], "outputs": [], "eta_s": {"low": 1, "high": 2}, "error": None,
    }  # fmt: skip


def event(kind, **data):
    return {"type": kind, "data": data}


def run(job, *events):
    for one in events:
        job = apply_event(job, one)
    return job


RUNNING = event("state", status="running", attempt=1)
FIRST = event("stage", name=STAGES[0], status="running", elapsed_s=None, progress=0.0)
DONE = event("stage", name=STAGES[0], status="succeeded", elapsed_s=1.5, progress=50.0)


def test_the_given_document_is_not_changed(job):
    before = copy.deepcopy(job)
    run(job, RUNNING, FIRST, DONE, event("log", level="warning", message="m"))
    assert job == before


def test_running_leaves_the_queue(job):
    after = run(job, RUNNING)
    assert (after["status"], after["queue_position"], after["attempt"]) == ("running", None, 1)


def test_stages_and_progress(job):
    after = run(job, RUNNING, FIRST)
    assert after["stage"] == STAGES[0]
    moved = event("progress", stage=STAGES[0], step=2, steps=4, stage_progress=50.0, progress=25.0)
    after = run(after, moved)
    assert after["stages"][0] == stage(
        STAGES[0], status="running", progress=50.0, step=2, steps=4
    )  # fmt: skip
    after = run(after, DONE)
    assert (after["stage"], after["stage_index"], after["progress"]) == (None, 1, 50.0)
    assert after["stages"][0]["elapsed_s"] == 1.5


def test_progress_never_falls_within_an_attempt(job):
    after = run(job, RUNNING, DONE, event("progress", stage=STAGES[1], progress=10.0))
    assert after["progress"] == 50.0
    late = event("progress", stage=STAGES[0], stage_progress=5.0, progress=5.0)
    assert run(after, late)["stages"][0]["progress"] == 100.0


def test_a_new_attempt_begins_again(job):
    after = run(job, RUNNING, DONE, event("state", status="running", attempt=2))
    assert (after["progress"], after["attempt"], after["stage_index"]) == (0.0, 2, 0)
    assert after["stages"][0]["status"] == "pending"


def test_applying_twice_changes_nothing(job):
    events = [RUNNING, FIRST, DONE, event("log", level="warning", message="m"),
              event("artifact", name="preview.glb", url="u")]  # fmt: skip
    once = run(job, *events)
    assert run(once, *events) == once


def test_the_end(job):
    after = run(job, RUNNING, FIRST, event("end", status="succeeded"))
    assert (after["status"], after["progress"], after["stage"]) == ("succeeded", 100.0, None)
    assert {one["status"] for one in after["stages"]} == {"succeeded"}
    assert after["eta_s"] is None


@pytest.mark.parametrize(("status", "shown"), [("failed", "failed"), ("canceled", "canceled")])
def test_a_bad_end_marks_the_running_stage(job, status, shown):
    error = {"code": "out-of-memory"}
    after = run(job, RUNNING, FIRST, event("state", status=status, attempt=1, error=error))
    assert [one["status"] for one in after["stages"]] == [shown, "pending"]
    assert after["error"] == error


def test_nothing_moves_after_the_end(job):
    over = run(job, RUNNING, event("end", status="canceled"))
    assert run(over, RUNNING, FIRST, event("progress", stage=STAGES[0], progress=90.0)) == over


def test_snapshot_and_gap_replace_everything(job):
    for kind in ("snapshot", "gap"):
        assert apply_event(job, event(kind, job={"id": "new"})) == {"id": "new"}


def test_only_warnings_are_kept_and_unknown_events_ignored(job):
    assert run(job, event("log", level="info", message="m"), event("future")) == job
    assert run(job, event("log", level="warning", message="m"))["warnings"] == ["m"]


def test_an_artifact_replaces_its_namesake(job):
    after = run(job, event("artifact", name="a", bytes=1), event("artifact", name="a", bytes=2))
    assert after["outputs"] == [{"name": "a", "bytes": 2}]
