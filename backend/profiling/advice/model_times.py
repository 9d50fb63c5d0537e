"""What a forward of a stage's network takes otherwise, set beside what the stage does now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.facts_of_stage import documents
from backend.profiling.advice.roofline_of_stage import standing
from backend.profiling.advice.stage_evidence import (
    CompileFigures,
    GuidanceFigures,
    MatmulFigures,
    StageEvidence,
)
from backend.profiling.run_summary import RunStage
from backend.profiling.stage_facts import FactName


@dataclass(frozen=True)
class ModelTimes:
    """Forwards of one network at the shapes of a stage; what was not timed is None.

    Parameters
    ----------
    single_s, double_s : float or None
        Seconds of a forward as the stage does it, and of one with the batch doubled.
    fits : bool or None
        Whether the doubled batch had room.
    bf16_factor : float or None
        How much faster it is in bf16.
    eager_s, compiled_s : float or None
        Seconds of a forward either way.
    compile_s : float or None
        Seconds to compile it, once.
    """

    single_s: float | None = None
    double_s: float | None = None
    fits: bool | None = None
    bf16_factor: float | None = None
    eager_s: float | None = None
    compiled_s: float | None = None
    compile_s: float | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ModelTimes:
        """Read what a worker wrote; fields it does not know are left out."""
        return cls(**{name: document.get(name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Forwards:
    """The forwards of a stage per job.

    Parameters
    ----------
    share : float
        Of the stage's time, 0 to 1.
    total_s : float
        Of all of them, at most what the stage takes: the largest was timed, and chunks of a
        volume are smaller towards their end.
    """

    share: float
    total_s: float


def with_model_times(
    evidence: Evidence,
    stage: StageEvidence,
    runs: Sequence[RunStage],
    times: ModelTimes,
    jobs_per_day: float | None,
) -> StageEvidence:
    """Add what the times of its network tell of a stage.

    Parameters
    ----------
    evidence : Evidence
        With the peaks of the device; without them nothing is told of guidance.
    runs : sequence of RunStage
        The stage in runs of like work, newest first.
    jobs_per_day : float or None
        Jobs of this work, about.
    """
    forwards = forwards_of(runs, times.single_s)
    return replace(
        stage,
        matmul=_matmul(stage, runs, times, forwards),
        guidance=_guidance(evidence, stage, runs, times, forwards),
        compiled=_compiled(stage, times, forwards, jobs_per_day),
    )


def forwards_of(runs: Sequence[RunStage], single_s: float | None) -> Forwards | None:
    """Count the forwards of a job; None if they are not known to have been counted or timed."""
    counted = [(run, count) for run in runs if (count := _calls(run)) and run.elapsed_s > 0]
    if not counted or not single_s:
        return None
    totals_s = [(min(count * single_s, run.elapsed_s), run.elapsed_s) for run, count in counted]
    return Forwards(
        median(total_s / elapsed_s for total_s, elapsed_s in totals_s),
        median(total_s for total_s, _ in totals_s),
    )


def _calls(run: RunStage) -> int | None:
    """Take the calls that were counted, or those that the loop must have made."""
    if run.calls:
        return run.calls
    loop = run.facts.get(FactName.LOOP.value, {})
    steps, per_step = loop.get("steps"), loop.get("forwards_per_step")
    return None if steps is None or per_step is None else int(steps * per_step)


def _matmul(
    stage: StageEvidence, runs: Sequence[RunStage], times: ModelTimes, forwards: Forwards | None
) -> MatmulFigures | None:
    """A whole forward was timed in bf16, so the whole of it counts for what gets faster."""
    told = [run.dtype for run in runs if run.dtype is not None]
    dtype = stage.matmul.dtype if stage.matmul else next(iter(told), None)
    if times.bf16_factor is None or forwards is None or dtype is None:
        return stage.matmul
    return MatmulFigures(dtype, forwards.share, times.bf16_factor)


def _guidance(
    evidence: Evidence,
    stage: StageEvidence,
    runs: Sequence[RunStage],
    times: ModelTimes,
    forwards: Forwards | None,
) -> GuidanceFigures | None:
    per_step = next(
        (found.get("forwards_per_step") for found in documents(runs, FactName.LOOP)), None
    )
    now = standing(evidence, stage)
    if per_step is None or now is None or forwards is None:
        return None
    if times.single_s is None or times.double_s is None:
        return None
    return GuidanceFigures(
        int(per_step), times.single_s, times.double_s, now.mfu, times.fits, forwards.share
    )


def _compiled(
    stage: StageEvidence,
    times: ModelTimes,
    forwards: Forwards | None,
    jobs_per_day: float | None,
) -> CompileFigures | None:
    known = (times.eager_s, times.compiled_s, times.compile_s)
    found = stage.compiled or CompileFigures(is_on=False)
    if forwards is None or None in known or not times.eager_s or found.is_on:
        return stage.compiled
    eager_s, compiled_s, compile_s = (each or 0.0 for each in known)
    # Both were timed in turns, elsewhere and at another time than the stage: their ratio counts.
    return replace(
        found,
        eager_s=forwards.total_s,
        compiled_s=forwards.total_s * compiled_s / eager_s,
        compile_s=compile_s,
        jobs_per_day=jobs_per_day,
    )
