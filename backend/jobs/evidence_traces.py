"""What the card waited for in each stage, from the newest deep profile of a kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from backend.jobs.measurements import MeasuredOn, Measurements
from backend.profiling.advice.from_runs import stage_in_runs
from backend.profiling.advice.stage_evidence import LaunchFigures, StageEvidence, SyncFigures
from backend.profiling.device_trace import StageTrace
from backend.profiling.run_summary import RunStage, RunSummary
from backend.profiling.stage_facts import FactName

NAME = "traces"


def with_traces(
    stages: Sequence[StageEvidence], measurements: Measurements, runs: Sequence[RunSummary]
) -> tuple[StageEvidence, ...]:
    """Add waits and synchronising calls to the stages that a trace knows.

    Parameters
    ----------
    runs : sequence of RunSummary
        Runs of one kind of work, newest first, none of them profiled in depth.
    """
    if not runs or runs[0].device is None:
        return tuple(stages)
    about = MeasuredOn(NAME, runs[0].pipeline, runs[0].shape_key, runs[0].device)
    found = measurements.newest(about)
    traces = (found.document.get("stages") or {}) if found else {}
    return tuple(
        _with_trace(stage, StageTrace.from_document(traces[stage.name]), runs)
        if stage.name in traces
        else stage
        for stage in stages
    )


def idle_scale(trace: StageTrace, usual_s: float) -> float:
    """Return which share of the waits in a trace an unprofiled run can have.

    The profiler slows the host and not the card: an unprofiled run is busy as long, so it waits
    for what is left of its time at most.

    Parameters
    ----------
    usual_s : float
        What the stage takes without a profiler.

    Examples
    --------
    >>> trace = StageTrace(1.0, 0.4, 0.5, 0.1, 9, 40.0, 0, 0.0, None)
    >>> idle_scale(trace, 0.7), idle_scale(trace, 2.0), idle_scale(trace, 0.3)
    (0.5, 1.0, 0.0)
    """
    waits_s = trace.host_wait_s + trace.kernel_wait_s
    if waits_s <= 0:
        return 0.0
    return round(min(1.0, max(0.0, usual_s - trace.busy_s) / waits_s), 6)


def _with_trace(
    stage: StageEvidence, trace: StageTrace, runs: Sequence[RunSummary]
) -> StageEvidence:
    in_runs = stage_in_runs(runs, stage.name)
    if not in_runs:
        return stage
    scale = idle_scale(trace, median(one.elapsed_s for one in in_runs))
    launch = LaunchFigures(
        host_wait_s=scale * trace.host_wait_s,
        kernel_wait_s=scale * trace.kernel_wait_s,
        median_kernel_us=trace.median_kernel_us,
    )
    return replace(stage, launch=launch, sync=_syncs(trace, scale, _steps(in_runs)))


def _syncs(trace: StageTrace, scale: float, steps: int | None) -> SyncFigures | None:
    """Relate the calls to the steps of the stage's loop; None where it has none."""
    if not steps:
        return None
    return SyncFigures(
        syncs_per_step=trace.syncs / steps,
        wait_s=scale * trace.sync_wait_s,
        location=trace.sync_location,
    )


def _steps(stages: Sequence[RunStage]) -> int | None:
    """Return how many steps the newest run told of; None if none did."""
    told = (stage.facts.get(FactName.LOOP, {}).get("steps") for stage in stages)
    return next((int(steps) for steps in told if steps), None)
