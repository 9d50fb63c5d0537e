"""Summaries of runs as the history hands them out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from backend.profiling.run_summary import RunStage, RunStatus, RunSummary

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stage(name: str, elapsed_s: float, kind: str = "cpu", **more: Any) -> RunStage:
    values: dict[str, Any] = {"share_pct": None, "gpu_s": None, "peak_mb": None}
    return RunStage(name=name, kind=kind, elapsed_s=elapsed_s, **(values | more))


def summary(run: str, *stages: RunStage, **more: Any) -> RunSummary:
    values: dict[str, Any] = {
        "job_id": f"job-{run}",
        "pipeline": "image_to_3d",
        "started_at": NOON,
        "total_s": sum(one.elapsed_s for one in stages),
        "queue_s": None,
        "load_s": 0.0,
        "status": RunStatus.OK,
        "device": None,
        "engine": {},
        "settings": {},
        "shape_key": "256",
        "batch_size": 1,
        "version": "0.1.0",
    }
    return RunSummary(run=run, stages=stages, **(values | more))
