from __future__ import annotations

import pytest

from backend.jobs.history import StageStatistics
from backend.web.api.performance import severity


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
