"""The part of the evidence that stored runs give: the job, its stages and its queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from statistics import median
from typing import Any

from backend.profiling.advice.evidence import Evidence, JobTimes, QueueFigures
from backend.profiling.advice.facts_of_stage import figures_of
from backend.profiling.advice.stage_evidence import StageEvidence, WorkFigures
from backend.profiling.run_summary import RunStage, RunStatus, RunSummary
from backend.profiling.spans import SpanKind
from backend.profiling.stage_parts import nearest_around
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
        over the runs that had it, scaled down where the stages together exceed the whole. Those
        inside others are scaled alike. Add what else is known with ``dataclasses.replace``.
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
        stages=_stages(done),
        settings=dict(done[0].settings),
        queue=QueueFigures(len(waits_s), median(waits_s)) if waits_s else None,
    )


def stage_in_runs(runs: Iterable[RunSummary], name: str) -> list[RunStage]:
    """Pick a stage, or one inside another by its path, of each run that had it."""
    return [stage for run in runs for stage in _all_stages(run) if stage.name == name]


def _stages(runs: Sequence[RunSummary]) -> tuple[StageEvidence, ...]:
    found: dict[StageKey, list[RunStage]] = {}
    for run in runs:
        for stage in _all_stages(run):
            if stage.kind not in NOT_THE_RUN and stage.share_pct is not None:
                found.setdefault((stage.name, stage.kind), []).append(stage)
    tops = {(stage.name, stage.kind) for run in runs for stage in run.stages}
    shares = _shares(found, tops)
    work = _work(runs)
    names = [name for name, _ in found]
    return tuple(
        StageEvidence(
            name=key[0],
            kind=_kind(key[1], runs[0].device),
            share=shares[key],
            n=len(stages),
            work=work.get(key),
            parent=None if key in tops else nearest_around(key[0], names),
            **vars(figures_of(stages)),
        )
        for key, stages in found.items()
    )


def _shares(
    found: Mapping[StageKey, Sequence[RunStage]], tops: Set[StageKey]
) -> dict[StageKey, float]:
    """Take medians: they need not add up to the whole, and a part may not exceed it."""
    middle = {
        key: median(stage.share_pct or 0.0 for stage in stages) / 100
        for key, stages in found.items()
    }
    scale = max(1.0, sum(share for key, share in middle.items() if key in tops))
    shares = {key: share / scale for key, share in middle.items()}
    for key in sorted(shares.keys() - tops, key=lambda key: len(key[0])):
        around = nearest_around(key[0], [name for name, _ in shares])
        outer = [share for (name, _), share in shares.items() if name == around]
        shares[key] = min([shares[key], *outer[:1]])
    return shares


def _kind(kind: str, device: str | None) -> SpanKind:
    """On a processor, a stage that is meant for a GPU works on the processor."""
    return SpanKind.CPU if kind == SpanKind.GPU and device is None else SpanKind(kind)


def _all_stages(run: RunSummary) -> Iterator[RunStage]:
    for stage in run.stages:
        yield stage
        yield from stage.inner


def _work(runs: Sequence[RunSummary]) -> dict[StageKey, WorkFigures]:
    """Work and GPU time of the stages on the device of the newest run, where both are known."""
    entries: dict[StageKey, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run.device == runs[0].device:
            for stage in _all_stages(run):
                entries.setdefault((stage.name, stage.kind), []).append(vars(stage))
    usual = {key: usual_stage(found) for key, found in entries.items()}
    return {
        key: WorkFigures(stage.gpu_s, stage.flop, stage.moved_bytes, stage.dtype)
        for key, stage in usual.items()
        if stage.gpu_s and stage.flop is not None and stage.moved_bytes
    }
