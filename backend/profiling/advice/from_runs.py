"""The part of the evidence that stored runs give: the job, its stages and its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from backend.profiling.advice.evidence import Evidence, JobTimes, QueueFigures
from backend.profiling.advice.stage_evidence import StageEvidence, WorkFigures
from backend.profiling.spans import ProfileStatus, SpanKind
from backend.profiling.stage_standing import usual_stage

NOT_THE_RUN = (SpanKind.QUEUE.value,)


def evidence_of_runs(runs: Sequence[Mapping[str, Any]]) -> Evidence:
    """Sum up runs of like work.

    Parameters
    ----------
    runs : sequence of mapping
        Summaries as the interface shows them, the newest first: one pipeline and size class.

    Returns
    -------
    Evidence
        Of the runs that succeeded, with the settings of the newest. A stage's share is the median
        over the runs that had it, scaled down where the stages together exceed the whole; add
        what else is known with ``dataclasses.replace``.
    """
    done = [run for run in runs if run["status"] == ProfileStatus.OK.value and run["total_s"]]
    if not done:
        return Evidence()
    starts = sorted(run["started_at"] for run in done if run.get("started_at"))
    window = f"{starts[0]}/{starts[-1]}" if starts else None
    waits_s = [run["queue_s"] for run in done if run.get("queue_s") is not None]
    return Evidence(
        job=JobTimes(median(run["total_s"] for run in done), len(done), window),
        stages=_stages(done, _work(done)),
        settings=dict(done[0].get("settings") or {}),
        queue=QueueFigures(len(waits_s), median(waits_s)) if waits_s else None,
    )


def _stages(
    runs: Sequence[Mapping[str, Any]], work: Mapping[tuple[str, SpanKind], WorkFigures]
) -> tuple[StageEvidence, ...]:
    shares: dict[tuple[str, SpanKind], list[float]] = {}
    for run in runs:
        for stage in run["stages"]:
            if stage["kind"] not in NOT_THE_RUN and stage["share_pct"] is not None:
                key = stage["name"], SpanKind(stage["kind"])
                shares.setdefault(key, []).append(stage["share_pct"] / 100)
    # Medians of stages need not add up to the whole, and a part may not exceed it.
    middle = {key: median(found) for key, found in shares.items()}
    scale = max(1.0, sum(middle.values()))
    return tuple(
        StageEvidence(*key, middle[key] / scale, len(found), work=work.get(key))
        for key, found in shares.items()
    )


def _work(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, SpanKind], WorkFigures]:
    """Work and GPU time of the stages on the device of the newest run, where both are known."""
    entries: dict[tuple[str, SpanKind], list[Mapping[str, Any]]] = {}
    for run in runs:
        if run.get("device") == runs[0].get("device"):
            for stage in run["stages"]:
                entries.setdefault((stage["name"], SpanKind(stage["kind"])), []).append(stage)
    usual = {key: usual_stage(found) for key, found in entries.items()}
    return {
        key: WorkFigures(stage.gpu_s, stage.flop, stage.moved_bytes, stage.dtype)
        for key, stage in usual.items()
        if stage.gpu_s and stage.flop is not None and stage.moved_bytes
    }
