from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.jobs.events import Event
from backend.jobs.records import JobRecord
from backend.jobs.shape_key import shape_key_of
from backend.jobs.states import EventType, JobState
from backend.profiling.spans import NS, SpanKind
from backend.units import iso
from backend.web.pages.live_run import live_document, live_runs
from tests.profiling.made_runs import made_profile

BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
JOB = JobRecord(
    id="j",
    pipeline="image_to_3d",
    name="Chair",
    status=JobState.RUNNING,
    params={},
    created_at=BEGAN - timedelta(seconds=2),
    started_at=BEGAN,
)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def event(seconds, kind, **data):
    return Event(f"{seconds}-0", "j", 1, iso(at(seconds)), kind, data)


def stage(seconds, name, status, elapsed_s=None):
    return event(seconds, EventType.STAGE, name=name, status=status, elapsed_s=elapsed_s)


def drawn(document):
    return {
        span["name"]: (span["start_ns"] / NS, span["end_ns"] and span["end_ns"] / NS)
        for span in document["spans"]
    }


EVENTS = [
    event(0, EventType.STATE, status="running"),
    stage(0.5, "image_preprocessing", "running"),
    stage(1.6, "image_preprocessing", "succeeded", 1.1),
    stage(2, "shape_generation", "running"),
    event(2.5, EventType.PROGRESS, stage="shape_generation"),
]


def test_stages_lie_where_the_event_log_says():
    document = live_document(JOB, EVENTS, at(5))
    assert document["end_ns"] == 5 * NS
    assert drawn(document) == {
        "queue": (-2.0, 0),
        "image_preprocessing": (0.5, pytest.approx(1.6)),
        "shape_generation": (2.0, None),
    }


def test_stages_have_the_kind_that_they_had_before():
    kinds = {"shape_generation": "gpu"}
    spans = live_document(JOB, EVENTS, at(5), kinds)["spans"]
    assert [span["kind"] for span in spans] == ["queue", "unknown", "gpu"]


def test_a_job_is_set_beside_runs_of_like_work_only(client, service, make_job, claim):
    draft = make_job(name="Chair", preset="draft")
    key = shape_key_of(service.store.engine, draft)
    for other in (key, "image_to_3d:high:auto:textured"):
        profile = made_profile({"shape": 2.0}, started_at=service.clock.now())
        service.run_history.record(
            profile, job_id=None, pipeline="image_to_3d", engine={}, settings={},
            shape_key=other, batch_size=1,
        )  # fmt: skip
    claim()
    (live,) = live_runs(service)
    assert (live.usual_n, live.usual_s) == (1, pytest.approx(2.0))
    assert "the last one like it took 2.00 s" in client.get("/performance/now").text


@pytest.mark.parametrize(("device", "kind"), [("NVIDIA H200", "gpu"), (None, "cpu")])
def test_a_stage_that_wants_a_gpu_is_drawn_where_the_last_run_did_it(
    service, make_job, claim, monkeypatch, device, kind
):
    key = shape_key_of(service.store.engine, make_job())
    profile = made_profile({"shape": 2.0}, started_at=service.clock.now())
    spans = [replace(span, kind=SpanKind.GPU) for span in profile.spans]
    service.run_history.record(
        replace(profile, spans=spans, device=device), job_id=None, pipeline="image_to_3d",
        engine={}, settings={}, shape_key=key, batch_size=1,
    )  # fmt: skip
    claim()
    monkeypatch.setattr(service.looks, "read_after", lambda *_: [stage(1, "shape", "running")])
    (live,) = live_runs(service)
    assert [row.kind for row in live.chart.rows if row.name == "shape"] == [kind]


def test_a_second_attempt_begins_anew():
    again = [*EVENTS, event(6, EventType.STATE, status="running"), stage(7, "a", "running")]
    assert list(drawn(live_document(JOB, again, at(9)))) == ["queue", "a"]


def test_without_events_only_the_wait_is_known():
    assert list(drawn(live_document(JOB, [], at(5)))) == ["queue"]


def test_the_page_follows_a_job_that_runs(client, service, make_job, claim, monkeypatch):
    assert b"Nothing runs at the moment" in client.get("/performance/now").data
    job = make_job(name="Chair <b>")
    assert b"Nothing runs at the moment" in client.get("/performance/now").data
    assert claim().id == job.id
    told = [stage(1, "shape_generation", "running")]
    monkeypatch.setattr(service.looks, "read_after", lambda *_: told)
    page = client.get("/performance/now").text
    assert "Chair &lt;b&gt;" in page
    assert "Shape generation: running" in page
    assert 'hx-trigger="every 1s"' in page


def test_without_redis_the_job_is_still_shown(client, make_job, claim):
    make_job(name="Chair")
    claim()
    page = client.get("/performance/now").text
    assert "Chair" in page
    assert "Wait in the queue" in page
