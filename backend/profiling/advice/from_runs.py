"""The part of the evidence that stored runs give: the job, its stages and its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from backend.profiling.advice.evidence import Evidence, JobTimes, QueueFigures
from backend.profiling.advice.stage_evidence import StageEvidence, WorkFigures
from backend.profiling.run_summary import RunStatus, RunSummary
from backend.profiling.spans import SpanKind
from backend.profiling.stage_standing import usual_stage
from backend.units import iso

NOT_THE_RUN = (SpanKind.QUEUE.value,)
StageKey = tuple[str, str]


def evidence_of_runs(runs: Sequence[RunSummary]) -> Evidence:
    """Sum up runs of like work.

    Parameters
    ----------
    runs : sequence of RunSummary
        The newest first: one pipeline and size class.

    Returns
    -------
    Evidence
        Of the runs that succeeded, with the settings of the newest. A stage's share is the median
        over the runs that had it, scaled down where the stages together exceed the whole; add
        what else is known with ``dataclasses.replace``.
    """
    done = [run for run in runs if run.status is RunStatus.OK and run.total_s]
    if not done:
        return Evidence()
    starts = [run.started_at for run in done]
    waits_s = [run.queue_s for run in done if run.queue_s is not None]
    return Evidence(
        job=JobTimes(
            median(run.total_s for run in done), len(done), f"{iso(min(starts))}/{iso(max(starts))}"
        ),
        stages=_stages(done, _work(done)),
        settings=dict(done[0].settings),
        queue=QueueFigures(len(waits_s), median(waits_s)) if waits_s else None,
    )


def _stages(
    runs: Sequence[RunSummary], work: Mapping[StageKey, WorkFigures]
) -> tuple[StageEvidence, ...]:
    shares: dict[StageKey, list[float]] = {}
    for run in runs:
        for stage in run.stages:
            if stage.kind not in NOT_THE_RUN and stage.share_pct is not None:
                shares.setdefault((stage.name, stage.kind), []).append(stage.share_pct / 100)
    # Medians of stages need not add up to the whole, and a part may not exceed it.
    middle = {key: median(found) for key, found in shares.items()}
    scale = max(1.0, sum(middle.values()))
    return tuple(
        StageEvidence(name, SpanKind(kind), share / scale, len(shares[name, kind]),
                      work=work.get((name, kind)))
        for (name, kind), share in middle.items()
    )  # fmt: skip


def _work(runs: Sequence[RunSummary]) -> dict[StageKey, WorkFigures]:
    """Work and GPU time of the stages on the device of the newest run, where both are known."""
    entries: dict[StageKey, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run.device == runs[0].device:
            for stage in run.stages:
                entries.setdefault((stage.name, stage.kind), []).append(vars(stage))
    usual = {key: usual_stage(found) for key, found in entries.items()}
    return {
        key: WorkFigures(stage.gpu_s, stage.flop, stage.moved_bytes, stage.dtype)
        for key, stage in usual.items()
        if stage.gpu_s and stage.flop is not None and stage.moved_bytes
    }
