from __future__ import annotations

import pytest

from backend.jobs.history import RunStatistics, StageStatistics
from backend.profiling.run_summary import RunStatus
from backend.web.api.openapi import document
from backend.web.api.performance import severity
from tests.profiling.made_runs import made_profile


def test_without_runs_nothing_is_claimed(server):
    found = server.client.get("/api/performance/recommendations").json
    assert found["recommendations"] == []
    assert "No finished runs" in found["note"]
    summary = server.client.get("/api/performance/summary").json
    assert summary["total_pipelines"] == 0
    assert summary["avg_duration_seconds"] is None
    assert summary["error"]


@pytest.fixture
def measured(server, monkeypatch):
    stages = [
        StageStatistics("image_to_3d", "texture_synthesis", 8, 2.1, 2.0, 3.0, 55.0),
        StageStatistics("image_to_3d", "shape_generation", 8, 1.05, 1.0, 1.5, 31.0),
        StageStatistics("image_to_3d", "mesh_export", 8, 0.31, 0.3, 0.4, 14.0),
    ]
    history = server.service.store.history
    monkeypatch.setattr(history, "stage_statistics", lambda limit=200: stages)
    return server


def test_the_slowest_stage_is_named_with_its_evidence(measured):
    (found,) = measured.client.get("/api/performance/recommendations").json["recommendations"]
    assert found["evidence"]["n"] == 8
    assert found["evidence"]["stage"] == "texture_synthesis"
    assert "55 %" in found["detail"]
    assert found["id"]
    assert found["title"]


def test_bottlenecks_and_breakdown(measured):
    summary = measured.client.get("/api/performance/summary").json
    assert [(b["stage"], b["severity"]) for b in summary["bottlenecks"]] == [
        ("texture_synthesis", "critical"),
        ("shape_generation", "high"),
    ]
    assert set(summary["stage_breakdown"]) == {
        "texture_synthesis", "shape_generation", "mesh_export"
    }  # fmt: skip
    assert summary["timestamp"].endswith("Z")


def test_a_real_run_is_counted(server, small_png):
    server.submit(small_png)
    job = server.claim()
    values = {"status": "succeeded", "elapsed_s": 1.5, "progress": 100.0}
    server.service.claims.update_stage(job, "shape_generation", 50.0, values)
    server.finish(job, {"model.glb": b"x"})
    summary = server.client.get("/api/performance/summary").json
    assert summary["total_pipelines"] == 1
    assert summary["avg_duration_seconds"] == 1.5


def test_severity_cut_offs():
    assert [severity(pct) for pct in (20.0, 30.0, 30.1, 40.0, 40.1)] == [
        "medium", "medium", "high", "high", "critical"
    ]  # fmt: skip


@pytest.fixture
def record(server):
    """Put a run on record; returns its identifier."""

    def made(stages, **fields):
        base = {
            "job_id": None,
            "pipeline": "image_to_3d",
            "engine": {"shape": "inflate"},
            "settings": {"precision": "fp32"},
            "shape_key": "k",
            "batch_size": 1,
        }
        history = server.service.run_history
        profile = made_profile(stages, started_at=server.service.clock.now(), queue_s=0.5)
        return history.record(profile, **(base | fields))

    return made


def names_of(server, schema):
    return set(document()["components"]["schemas"][schema]["properties"])


def test_runs_are_listed_newest_first_and_as_documented(server, record):
    older, newer = record({"shape": 2.0}), record({"shape": 3.0})
    other = record({"mask": 1.0}, pipeline="cut_out", status=RunStatus.CANCELED)
    items = server.client.get("/api/performance/profiles").json["items"]
    assert [item["run"] for item in items] == [other, newer, older]
    assert set(items[0]) == names_of(server, "Run")
    assert (items[0]["status"], items[1]["queue_s"], items[1]["device"]) == ("canceled", 0.5, None)
    picked = server.client.get("/api/performance/profiles?pipeline=image_to_3d&limit=1").json
    assert [item["run"] for item in picked["items"]] == [newer]
    canceled = server.client.get("/api/performance/profiles?status=canceled").json["items"]
    assert [item["run"] for item in canceled] == [other]


def test_a_run_has_its_whole_profile(server, record):
    run_id = record({"shape": 2.0, "export": 1.0})
    found = server.client.get(f"/api/performance/profiles/{run_id}").json
    assert found["run"]["run"] == run_id
    assert [span["name"] for span in found["profile"]["spans"]] == ["queue", "shape", "export"]
    assert server.client.get("/api/performance/profiles/nothing").status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=000000002", "status=lost"]
)
def test_wrong_queries_are_refused(server, query):
    answer = server.client.get(f"/api/performance/profiles?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")


def test_two_runs_are_compared(server, record):
    before, after = record({"shape": 2.0, "export": 1.0}), record({"shape": 5.0, "export": 1.0})
    url = f"/api/performance/compare?before={before}&after={after}"
    found = server.client.get(url).json
    assert set(found) == names_of(server, "RunComparison")
    (work,) = found["items"]
    assert work["total"]["verdict"] == "too_few"
    assert work["total"]["interval"]["low"] is None
    assert work["stages"][0]["stage"] == "shape"
    assert work["stages"][0]["change"]["difference_s"] == pytest.approx(3.0)


def test_a_comparison_needs_two_sides_that_exist(server, record):
    assert server.client.get("/api/performance/compare?before=0.1").status_code == 422
    unknown = server.client.get(f"/api/performance/compare?before={'0' * 26}&after=0.1")
    assert unknown.status_code == 404
    empty = server.client.get("/api/performance/compare?before=0.1&after=9.9").json
    assert empty["items"] == []
    assert empty["note"]


def test_targets_are_judged_from_runs(server, record):
    def states():
        items = server.client.get("/api/performance/targets").json["items"]
        assert all(set(item) == names_of(server, "Target") for item in items)
        return {item["id"]: item["state"] for item in items}

    assert set(states().values()) == {"not_measured"}
    for _ in range(5):
        record({"shape": 2.0})
    found = states()
    assert found.pop("image_warm") == "met"
    assert set(found.values()) == {"not_measured"}


def test_trends_and_stages_follow_new_runs(server, record):
    def summary():
        return server.client.get("/api/performance/summary").json

    assert (summary()["trends"], summary()["stages"]) == ([], [])
    for _ in range(20):
        record({"shape": 2.0})
    assert summary()["trends"][0]["verdict"] == "too_few"
    for _ in range(20):
        record({"shape": 3.0})
    found = summary()
    assert (found["trends"][0]["verdict"], found["stages"][0]["trend"]) == ("slower", "slower")
    assert found["stages"][0]["elapsed_s"]["p90"] is not None
    assert found["stages"][0]["elapsed_s"]["p95"] is None
    assert set(found) <= names_of(server, "PerformanceSummary")


@pytest.mark.parametrize(("runs", "named"), [(58, False), (59, True)])
def test_p95_is_named_only_when_the_runs_carry_it(server, monkeypatch, runs, named):
    history = server.service.store.history
    statistics = RunStatistics([float(n + 1) for n in range(runs)])
    monkeypatch.setattr(history, "run_statistics", lambda limit=200: statistics)
    summary = server.client.get("/api/performance/summary").json
    assert (summary["p95_duration_seconds"] is not None) is named
    assert summary["max_duration_seconds"] == runs
    assert summary["min_duration_seconds"] == 1.0
