"""Profiles and runs with the times that a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backend.profiling.run_summary import RunStage, RunStatus, RunSummary
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, Span, SpanKind

DAY = datetime(2026, 11, 21, tzinfo=UTC)
KINDS = {"load_model": SpanKind.LOAD, "shape_generation": SpanKind.GPU}


def made_profile(
    stages: dict[str, float],
    *,
    started_at: datetime = DAY,
    queue_s: float | None = None,
    status: ProfileStatus = ProfileStatus.OK,
    idle_s: float = 0.0,
) -> PipelineProfile:
    """A run of stages one after the other, in seconds."""
    spans = []
    start_ns = 1_000 * NS
    if queue_s is not None:
        waited = start_ns - round(queue_s * NS)
        spans.append(Span(1, None, "queue", SpanKind.QUEUE, 7, waited, start_ns))
    moment = start_ns
    for name, elapsed_s in stages.items():
        end = moment + round(elapsed_s * NS)
        kind = KINDS.get(name, SpanKind.CPU)
        spans.append(Span(len(spans) + 1, None, name, kind, 7, moment, end))
        moment = end
    return PipelineProfile(
        "image_to_3d", {}, started_at, start_ns, moment + round(idle_s * NS), spans, status
    )


def made_run(stages: dict[str, float], number: int = 0, **fields: Any) -> RunSummary:
    """A summary of a run; a higher number is newer."""
    base: dict[str, Any] = {
        "run": f"{number:026d}",
        "job_id": None,
        "pipeline": "image_to_3d",
        "started_at": DAY + timedelta(minutes=number),
        "total_s": sum(stages.values()),
        "queue_s": None,
        "load_s": 0.0,
        "status": RunStatus.OK,
        "device": None,
        "engine": {"shape": "inflate"},
        "settings": {"precision": "fp32"},
        "shape_key": "k",
        "batch_size": 1,
        "version": "1",
        "stages": tuple(RunStage(n, "cpu", s, None, None, None) for n, s in stages.items()),
    }
    return RunSummary(**(base | fields))
