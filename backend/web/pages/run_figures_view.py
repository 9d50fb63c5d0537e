"""What the performance page works out of the stored runs alone, whatever the time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from backend.profiling.gains import saving_s
from backend.profiling.regression import Verdict, ratio_interval, verdict_of
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import SpanKind
from backend.profiling.statistics import Summary, summarise
from backend.web.charts.histogram import Bin, histogram
from backend.web.pages.inner_stages import inner_stages
from backend.web.pages.roofline_view import RooflinePanel, roofline_panel
from backend.web.pages.run_comparison import (
    Sides,
    chosen_sides,
    comparison_choices,
    version_counts,
)

Document = Mapping[str, Any]

RECENT_RUNS = 20
STAGE_RUNS = 200
NO_SIDES: Sides = (None, None)


@dataclass(frozen=True)
class Work:
    """Runs that may be compared with each other: one pipeline, one size of the task."""

    pipeline: str
    shape_key: str | None


@dataclass(frozen=True)
class StageRow:
    """A stage over all finished runs of one work.

    Parameters
    ----------
    share_pct : float
        Its part of all the seconds these runs took.
    saved_at_most_s : float
        Seconds of the median run that are left of it if the stage took no time.
    trend : Verdict
        The last runs against those before.
    inner : tuple of StageRow
        The stages inside it that told what they did, by the path from the outermost stage on.
    """

    name: str
    kind: str
    share_pct: float
    times: Summary
    saved_at_most_s: float
    trend: Verdict
    peak_mb: float | None
    inner: tuple[StageRow, ...] = ()


@dataclass(frozen=True)
class WorkFigures:
    """The finished runs of one kind of work and what they tell.

    Parameters
    ----------
    alike : list of mapping
        At most 200, newest first.
    totals : Summary or None
        Seconds of a whole run; None without any.
    roofline : RooflinePanel
        Beside the peaks at the card's own clock.
    sides : pair of str or None
        What a comparison offers first.
    """

    alike: list[Document]
    stages: list[StageRow]
    totals: Summary | None
    batches: list[Bin]
    roofline: RooflinePanel
    versions: Counter[str]
    choices: Mapping[str, list[tuple[str, str]]]
    sides: Sides

    @classmethod
    def of(cls, runs: Sequence[Document], work: Work | None) -> WorkFigures:
        """Work them out of runs of any kind, newest first."""
        alike = finished_runs(runs, work)[:STAGE_RUNS]
        return cls(
            alike=alike,
            stages=stage_rows(alike),
            totals=summarise(run["total_s"] for run in alike) if alike else None,
            batches=histogram(run["batch_size"] for run in alike if run.get("batch_size")),
            roofline=roofline_panel(alike),
            versions=version_counts(alike),
            choices=comparison_choices(alike),
            sides=chosen_sides(alike, NO_SIDES),
        )


class RunFigures:
    """What the last runs of all kinds tell; each kind of work is worked out when it is shown.

    Parameters
    ----------
    runs : sequence of mapping
        Newest first.
    """

    def __init__(self, runs: Sequence[Document]) -> None:
        self._runs = runs
        self._of_work: dict[Work | None, WorkFigures] = {}
        ends = [(run, _ended(run)) for run in runs]
        self.works = counted_works(runs)
        self.first_end = min((end for _, end in ends), default=None)
        self.ended_in = Counter(hour_of(end) for run, end in ends if run["status"] == RunStatus.OK)

    def of(self, work: Work | None) -> WorkFigures:
        """Return what is known of one kind of work."""
        found = self._of_work.get(work)
        if found is None:
            found = self._of_work[work] = WorkFigures.of(self._runs, work)
        return found


def counted_works(runs: Sequence[Document]) -> dict[Work, int]:
    """Count the finished runs of each work, the latest used first."""
    return dict(Counter(work_of(run) for run in runs if run["status"] == RunStatus.OK))


def work_of(run: Document) -> Work:
    """What a run worked on."""
    return Work(run["pipeline"], run.get("shape_key"))


def chosen_work(works: Mapping[Work, int], wanted: Work | None) -> Work | None:
    """The work that was asked for, or else the one used last."""
    return wanted if wanted in works else next(iter(works), None)


def finished_runs(runs: Sequence[Document], work: Work | None) -> list[Document]:
    """Runs of one work that came to their end."""
    return [r for r in runs if r["status"] == RunStatus.OK and work_of(r) == work]


def stage_rows(runs: Sequence[Document]) -> list[StageRow]:
    """Sum up the stages of like runs, newest run first; the largest share comes first.

    The share is of the sum of all runs, so that one odd short run does not count as a long one.
    """
    total_s = math.fsum(run["total_s"] for run in runs)
    if not total_s:
        return []
    usual_s = summarise(run["total_s"] for run in runs).p50
    tops = _by_name(stage for run in runs for stage in run["stages"])
    rows = []
    for found in tops.values():
        inner = _by_name(part for stage in found for part in inner_stages(stage))
        parts = [_stage_row(same, total_s, usual_s) for same in inner.values()]
        rows.append(replace(_stage_row(found, total_s, usual_s), inner=tuple(parts)))
    if runs[0].get("device") is None:  # meant for a GPU, they worked on the processor
        rows = [_on_processor(row) for row in rows]
    return sorted(rows, key=lambda row: -row.share_pct)


def _on_processor(row: StageRow) -> StageRow:
    kind = SpanKind.CPU.value if row.kind == SpanKind.GPU else row.kind
    return replace(row, kind=kind, inner=tuple(_on_processor(part) for part in row.inner))


def _by_name(stages: Iterable[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for stage in stages:
        if stage["kind"] != SpanKind.QUEUE and stage["elapsed_s"] is not None:
            found.setdefault(stage["name"], []).append(stage)
    return found


def trend_of(times_s: Sequence[float]) -> Verdict:
    """Compare the last twenty times with those before; noise alone is no trend.

    Parameters
    ----------
    times_s : sequence of float
        Newest first.
    """
    recent, earlier = times_s[:RECENT_RUNS], times_s[RECENT_RUNS:]
    if not earlier or min(times_s) <= 0:
        return Verdict.TOO_FEW
    return verdict_of(ratio_interval(earlier, recent))


def hour_of(moment: datetime) -> datetime:
    """Return when the hour of a moment began."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _stage_row(found: Sequence[Document], total_s: float, usual_s: float) -> StageRow:
    times_s = [stage["elapsed_s"] for stage in found]
    share = min(1.0, math.fsum(times_s) / total_s)
    peaks = [stage["peak_mb"] for stage in found if stage.get("peak_mb") is not None]
    return StageRow(
        name=found[0]["name"],
        kind=found[0]["kind"],
        share_pct=100 * share,
        times=summarise(times_s),
        saved_at_most_s=saving_s(usual_s, share, 1.0, math.inf).ceiling_s,
        trend=trend_of(times_s),
        peak_mb=max(peaks, default=None),
    )


def _ended(run: Document) -> datetime:
    return datetime.fromisoformat(run["started_at"]) + timedelta(seconds=run["total_s"])
