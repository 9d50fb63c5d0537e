"""Two times of each stage under each other, before and after, on one scale."""

from __future__ import annotations

from dataclasses import dataclass

from backend.profiling.comparison import Comparison, StageChange
from backend.profiling.regression import RatioInterval, Verdict
from backend.web.charts.scale import Scale

ROW_PX = 78
MAX_ROWS = 12
# What is right of the longest bar is kept for the letters of its time.
WIDEST_PCT = 74.0


@dataclass(frozen=True)
class TimeBar:
    """A bar and its time; ``elapsed_s`` None where the stage did not run."""

    elapsed_s: float | None
    width_pct: float


@dataclass(frozen=True)
class StagePair:
    """A stage as it is drawn.

    Parameters
    ----------
    ratio : RatioInterval or None
        Of the times, after over before; None where one side is missing or took no time.
    y_px : int
        Upper edge of the row.
    """

    name: str
    before: TimeBar
    after: TimeBar
    ratio: RatioInterval | None
    verdict: Verdict | None
    y_px: int


@dataclass(frozen=True)
class BeforeAfter:
    """A whole chart; ``left_out`` counts the stages there was no room for."""

    rows: list[StagePair]
    height_px: int
    left_out: int


def before_after(comparison: Comparison) -> BeforeAfter:
    """Lay out the stages of a comparison, the largest difference first.

    Returns
    -------
    BeforeAfter
        At most twelve stages; those that moved least are left out first.
    """
    shown = comparison.stages[:MAX_ROWS]
    times_s = (
        time_s
        for stage in shown
        for time_s in (stage.change.p50_before_s, stage.change.p50_after_s)
        if time_s is not None
    )
    scale = Scale(0.0, max(times_s, default=0.0))
    rows = [_row(stage, at * ROW_PX, scale) for at, stage in enumerate(shown)]
    return BeforeAfter(rows, len(rows) * ROW_PX, len(comparison.stages) - len(rows))


def _row(stage: StageChange, y_px: int, scale: Scale) -> StagePair:
    change = stage.change
    return StagePair(
        name=stage.stage,
        before=_bar(change.p50_before_s, scale),
        after=_bar(change.p50_after_s, scale),
        ratio=change.interval,
        verdict=change.verdict,
        y_px=y_px,
    )


def _bar(elapsed_s: float | None, scale: Scale) -> TimeBar:
    share = 0.0 if elapsed_s is None else scale.percent(elapsed_s) / 100.0
    return TimeBar(elapsed_s, share * WIDEST_PCT)
