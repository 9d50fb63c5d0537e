"""Two groups of runs side by side: which stage made the difference, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.errors import InvalidParameter
from backend.profiling.regression import RatioInterval, Verdict, ratio_interval, verdict_of
from backend.profiling.statistics import quantile, sorted_values

RunTimes = Mapping[str, float]


class Presence(StrEnum):
    """On which side a stage ran at all."""

    BOTH = "both"
    ONLY_BEFORE = "only_before"
    ONLY_AFTER = "only_after"


@dataclass(frozen=True)
class Change:
    """Times before and after, in seconds.

    The medians and the interval are over the runs that had the stage; `difference_s` is the
    change of the mean per run, where a run without the stage spent none: only means of stages
    add up to the mean of the whole.
    """

    runs_before: int
    runs_after: int
    p50_before_s: float | None
    p50_after_s: float | None
    difference_s: float
    interval: RatioInterval | None
    verdict: Verdict | None


@dataclass(frozen=True)
class StageChange:
    """The change of one stage and its share of all movement, 0 to 1; None if nothing moved."""

    stage: str
    presence: Presence
    change: Change
    share: float | None


@dataclass(frozen=True)
class Comparison:
    """The whole and its stages, the largest difference first."""

    total: Change
    stages: tuple[StageChange, ...]

    def stages_with(self, presence: Presence) -> tuple[str, ...]:
        """Names of the stages that ran on these sides."""
        return tuple(entry.stage for entry in self.stages if entry.presence is presence)


def compare_runs(
    before: Sequence[RunTimes], after: Sequence[RunTimes], seed: int = 0
) -> Comparison:
    """Compare two groups of runs, stage by stage and as a whole.

    Parameters
    ----------
    before, after : sequence of mapping
        Per run, the seconds of each stage that ran. The runs of both groups must be of like
        work: the same pipeline and size class.
    seed : int
        Seed of the intervals.

    Returns
    -------
    Comparison
        A stage's share is its absolute difference over the sum of all absolute differences, so
        that shares stay within 0 to 1 where one stage gains what another loses.

    Raises
    ------
    InvalidParameter
        A group holds no run, a run no stage, or a time is negative or not finite.
    """
    _check(before)
    _check(after)
    names = sorted({stage for run in (*before, *after) for stage in run})
    changes = {name: _stage_change(name, before, after, seed) for name in names}
    movement_s = math.fsum(abs(change.difference_s) for change in changes.values())
    stages = [_entry(name, change, movement_s) for name, change in changes.items()]
    stages.sort(key=lambda entry: -abs(entry.change.difference_s))
    return Comparison(_total_change(before, after, seed), tuple(stages))


def _check(runs: Sequence[RunTimes]) -> None:
    if not runs:
        raise InvalidParameter("A comparison needs runs on both sides.")
    for run in runs:
        if sorted_values(run.values())[0] < 0:
            raise InvalidParameter("A stage took less than no time.")


def _stage_change(
    stage: str, before: Sequence[RunTimes], after: Sequence[RunTimes], seed: int
) -> Change:
    old = [run[stage] for run in before if stage in run]
    new = [run[stage] for run in after if stage in run]
    return _change(old, new, math.fsum(new) / len(after) - math.fsum(old) / len(before), seed)


def _total_change(before: Sequence[RunTimes], after: Sequence[RunTimes], seed: int) -> Change:
    old = [math.fsum(run.values()) for run in before]
    new = [math.fsum(run.values()) for run in after]
    return _change(old, new, math.fsum(new) / len(new) - math.fsum(old) / len(old), seed)


def _change(old: list[float], new: list[float], difference_s: float, seed: int) -> Change:
    # A stage below the clock's resolution reads 0 s: it has a difference, but no ratio.
    comparable = bool(old) and bool(new) and min(*old, *new) > 0
    interval = ratio_interval(old, new, seed=seed) if comparable else None
    return Change(
        runs_before=len(old),
        runs_after=len(new),
        p50_before_s=_median_s(old),
        p50_after_s=_median_s(new),
        difference_s=difference_s,
        interval=interval,
        verdict=verdict_of(interval) if interval else None,
    )


def _median_s(times_s: list[float]) -> float | None:
    return quantile(sorted(times_s), 0.5) if times_s else None


def _entry(stage: str, change: Change, movement_s: float) -> StageChange:
    presence = Presence.BOTH
    if not change.runs_before:
        presence = Presence.ONLY_AFTER
    elif not change.runs_after:
        presence = Presence.ONLY_BEFORE
    share = abs(change.difference_s) / movement_s if movement_s else None
    return StageChange(stage, presence, change, share)
