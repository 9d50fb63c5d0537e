"""What the performance page shows of its document: verdict, stages, throughput, comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.profiling.gains import saving_s
from backend.profiling.regression import Verdict, ratio_interval, verdict_of
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import SpanKind
from backend.profiling.statistics import Summary, summarise, values_needed
from backend.web.charts.bars import Bar, bars
from backend.web.charts.histogram import histogram
from backend.web.charts.waterfall import waterfall
from backend.web.pages.advice_view import advice_panel
from backend.web.pages.roofline_view import roofline_panel
from backend.web.pages.run_comparison import (
    Sides,
    chosen_sides,
    comparison_choices,
    comparison_view,
    version_counts,
)

Document = Mapping[str, Any]

VERDICT_RUNS = 5
RECENT_RUNS = 20
STAGE_RUNS = 200
RUNS_SHOWN = 20
THROUGHPUT_HOURS = 12


class Situation(StrEnum):
    """What the page has to show."""

    EMPTY = "empty"
    OFFLINE = "offline"
    READY = "ready"


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
    """

    name: str
    kind: str
    share_pct: float
    times: Summary
    saved_at_most_s: float
    trend: Verdict
    peak_mb: float | None


@dataclass(frozen=True)
class Hour:
    """Runs that ended within one hour; None where the history does not reach back."""

    label: str
    bar: Bar


def performance_view(
    document: Document,
    wanted: Work | None = None,
    sides: Sides = (None, None),
) -> dict[str, Any]:
    """Write what the templates show.

    Parameters
    ----------
    document : mapping
        As ``performance_document`` answers, ``runs`` newest first.
    wanted : Work, optional
        The kind of work to show; by default the one that was used last.
    sides : pair of str or None
        Versions or runs to compare, before and after.

    Returns
    -------
    dict
        ``situation``, ``works`` (with counts), ``work``, ``stages``, ``slowest``, ``totals``,
        ``runs_alike``, ``runs_needed``, ``p90_needs``, ``chart``, ``last``,
        ``runs``, ``hours``, ``queue``, ``roofline``, ``batches``, ``advice``, ``comparison``,
        ``choices``, ``sides`` (chosen in the form), ``only_version`` and ``targets``.
    """
    runs = document["runs"]
    works = counted_works(runs)
    work = chosen_work(works, wanted)
    alike = finished_runs(runs, work)[:STAGE_RUNS]
    stages = stage_rows(alike)
    last = document["last"]
    versions = version_counts(alike)
    return {
        "situation": _situation(document).value,
        "works": works,
        "work": work,
        "stages": stages,
        "slowest": next((s for s in stages if s.times.n >= VERDICT_RUNS), None),
        "totals": summarise(run["total_s"] for run in alike) if alike else None,
        "runs_alike": len(alike),
        "runs_needed": VERDICT_RUNS,
        "p90_needs": values_needed(0.90),
        "last": last,
        "chart": waterfall(last["profile"]) if last else None,
        "runs": runs[:RUNS_SHOWN],
        "hours": finished_per_hour(document),
        "queue": queue_figures(document),
        "roofline": roofline_panel(alike, document.get("busy_clock")),
        "batches": histogram(run["batch_size"] for run in alike if run.get("batch_size")),
        "advice": advice_panel(document.get("advice")),
        "comparison": comparison_view(alike, sides),
        "choices": comparison_choices(alike),
        "sides": chosen_sides(alike, sides),
        "only_version": next(iter(versions)) if len(versions) == 1 else None,
        "targets": document["targets"],
    }


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
    entries: dict[str, list[Document]] = {}
    for run in runs:
        for stage in run["stages"]:
            if stage["kind"] != SpanKind.QUEUE and stage["elapsed_s"] is not None:
                entries.setdefault(stage["name"], []).append(stage)
    usual_s = summarise(run["total_s"] for run in runs).p50
    rows = [_stage_row(found, total_s, usual_s) for found in entries.values()]
    return sorted(rows, key=lambda row: -row.share_pct)


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


def finished_per_hour(document: Document) -> list[Hour]:
    """Count the runs that ended in each of the last hours, the current one last."""
    now = datetime.fromisoformat(document["now"])
    ends = [_ended(run) for run in document["runs"] if run["status"] == RunStatus.OK]
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    starts = [this_hour - timedelta(hours=back) for back in reversed(range(THROUGHPUT_HOURS))]
    known_since = min(map(_ended, document["runs"]), default=None) if document["cut"] else None
    counts = [
        None
        if known_since is not None and start < known_since
        else float(sum(start <= end < start + timedelta(hours=1) for end in ends))
        for start in starts
    ]
    return [Hour(s.strftime("%H:%M"), bar) for s, bar in zip(starts, bars(counts), strict=True)]


def queue_figures(document: Document) -> dict[str, Any]:
    """How many jobs wait now, and how long the last runs had waited."""
    waits_s = [run["queue_s"] for run in document["runs"] if run.get("queue_s") is not None]
    waits = summarise(waits_s[:STAGE_RUNS]) if waits_s else None
    return {"depth": document["queue_depth"], "waits": waits}


def _situation(document: Document) -> Situation:
    if not document["runs"]:
        return Situation.EMPTY
    return Situation.READY if document["workers"] else Situation.OFFLINE


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
