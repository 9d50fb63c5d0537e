"""What the performance page shows of its document: verdict, stages, throughput, comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.profiling.statistics import summarise, values_needed
from backend.web.charts.bars import Bar, bars
from backend.web.charts.waterfall import waterfall
from backend.web.pages.advice_view import advice_panel
from backend.web.pages.roofline_view import roofline_panel
from backend.web.pages.run_comparison import Sides, chosen_sides, comparison_view
from backend.web.pages.run_figures_view import (
    NO_SIDES,
    STAGE_RUNS,
    RunFigures,
    Work,
    chosen_work,
    hour_of,
)

Document = Mapping[str, Any]

VERDICT_RUNS = 5
RUNS_SHOWN = 20
THROUGHPUT_HOURS = 12


class Situation(StrEnum):
    """What the page has to show."""

    EMPTY = "empty"
    OFFLINE = "offline"
    READY = "ready"


@dataclass(frozen=True)
class Hour:
    """Runs that ended within one hour; None where the history does not reach back."""

    label: str
    bar: Bar


def performance_view(
    document: Document,
    wanted: Work | None = None,
    sides: Sides = NO_SIDES,
) -> dict[str, Any]:
    """Write what the templates show.

    Parameters
    ----------
    document : mapping
        As ``performance_document`` answers, ``runs`` newest first. What it has worked out
        already, ``figures`` and the ``chart`` of ``last``, is not worked out again.
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
    runs, last, clock = document["runs"], document["last"], document.get("busy_clock")
    figures = _figures(document)
    work = chosen_work(figures.works, wanted)
    known = figures.of(work)
    alike, versions = known.alike, known.versions
    return {
        "situation": _situation(document).value,
        "works": figures.works,
        "work": work,
        "stages": known.stages,
        "slowest": next((s for s in known.stages if s.times.n >= VERDICT_RUNS), None),
        "totals": known.totals,
        "runs_alike": len(alike),
        "runs_needed": VERDICT_RUNS,
        "p90_needs": values_needed(0.90),
        "last": last,
        "chart": (last.get("chart") or waterfall(last["profile"])) if last else None,
        "runs": runs[:RUNS_SHOWN],
        "hours": finished_per_hour(document),
        "queue": queue_figures(document),
        "roofline": roofline_panel(alike, clock) if clock else known.roofline,
        "batches": known.batches,
        "advice": advice_panel(document.get("advice")),
        "comparison": comparison_view(alike, sides),
        "choices": known.choices,
        "sides": chosen_sides(alike, sides) if all(sides) else known.sides,
        "only_version": next(iter(versions)) if len(versions) == 1 else None,
        "targets": document["targets"],
    }


def finished_per_hour(document: Document) -> list[Hour]:
    """Count the runs that ended in each of the last hours, the current one last."""
    figures = _figures(document)
    this_hour = hour_of(datetime.fromisoformat(document["now"]))
    starts = [this_hour - timedelta(hours=back) for back in reversed(range(THROUGHPUT_HOURS))]
    known_since = figures.first_end if document["cut"] else None
    counts = [
        None if known_since is not None and start < known_since else float(figures.ended_in[start])
        for start in starts
    ]
    return [Hour(s.strftime("%H:%M"), bar) for s, bar in zip(starts, bars(counts), strict=True)]


def queue_figures(document: Document) -> dict[str, Any]:
    """How many jobs wait now, and how long the last runs had waited."""
    waits_s = [run["queue_s"] for run in document["runs"] if run.get("queue_s") is not None]
    waits = summarise(waits_s[:STAGE_RUNS]) if waits_s else None
    return {"depth": document["queue_depth"], "waits": waits}


def _figures(document: Document) -> RunFigures:
    return document.get("figures") or RunFigures(document["runs"])


def _situation(document: Document) -> Situation:
    if not document["runs"]:
        return Situation.EMPTY
    return Situation.READY if document["workers"] else Situation.OFFLINE
