"""A report for people: one HTML file with its charts inside, that needs no network to open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from backend.profiling.exports.charts import Chart, short_s, stacked_runs, waterfall
from backend.profiling.spans import PipelineProfile
from backend.profiling.statistics import Summary, summarise
from backend.units import iso

TEMPLATES = Path(__file__).resolve().parents[3] / "frontend" / "templates"
SHOWN_ROWS = 100

Run = Mapping[str, Any]


@dataclass(frozen=True)
class StageRow:
    """What a stage took over the runs that succeeded; the share in percent of their time."""

    name: str
    kind: str
    seconds: Summary
    share_pct: float | None
    peak_mb: float | None


@dataclass(frozen=True)
class PipelineSection:
    """What the report says of one pipeline; ``seconds`` is None if no run succeeded."""

    name: str
    runs: Sequence[Run]
    succeeded: int
    seconds: Summary | None
    stages: Sequence[StageRow]
    chart: Chart


def html_report(
    runs: Sequence[Run],
    *,
    generated_at: datetime,
    version: str,
    profile: PipelineProfile | None = None,
) -> str:
    """Write the report.

    Parameters
    ----------
    runs : sequence of mapping
        Summaries as ``/api/performance/profiles`` sends them, newest first.
    profile : PipelineProfile, optional
        A run to show in its course.

    Returns
    -------
    str
        An HTML document without scripts and without addresses to load from.
    """
    return _template().render(
        sections=sections(runs),
        course=None if profile is None else waterfall(profile),
        profile=profile,
        generated_at=iso(generated_at),
        version=version,
        shown_rows=SHOWN_ROWS,
    )


def sections(runs: Sequence[Run]) -> list[PipelineSection]:
    """Group the runs by pipeline and summarise their stages."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run["pipeline"], []).append(run)
    return [_section(name, same) for name, same in sorted(by_name.items())]


def _section(name: str, runs: Sequence[Run]) -> PipelineSection:
    good = [run for run in runs if run["status"] == "ok"]
    totals_s = [run["total_s"] for run in good if run["total_s"] is not None]
    return PipelineSection(
        name=name,
        runs=runs,
        succeeded=len(good),
        seconds=summarise(totals_s) if totals_s else None,
        stages=_stage_rows(good, sum(totals_s)),
        chart=stacked_runs(name, runs),
    )


def _stage_rows(runs: Sequence[Run], total_s: float) -> list[StageRow]:
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        for stage in run.get("stages") or []:
            if stage.get("elapsed_s") is not None:
                by_name.setdefault(stage["name"], []).append(stage)
    rows = [_stage_row(name, same, total_s) for name, same in by_name.items()]
    return sorted(rows, key=lambda row: -row.seconds.mean * row.seconds.n)


def _stage_row(name: str, stages: Sequence[Mapping[str, Any]], total_s: float) -> StageRow:
    seconds = [stage["elapsed_s"] for stage in stages]
    peaks_mb = [stage["peak_mb"] for stage in stages if stage.get("peak_mb") is not None]
    return StageRow(
        name=name,
        kind=stages[0]["kind"],
        seconds=summarise(seconds),
        share_pct=100 * sum(seconds) / total_s if total_s else None,
        peak_mb=max(peaks_mb, default=None),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short_s"] = short_s
    return environment.get_template("report/performance.html")
