"""``/api/performance/report``: the stored runs as a file for other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flask import Blueprint, Response, current_app, request

from backend import __version__
from backend.errors import InvalidParameter
from backend.jobs.service import JobService
from backend.profiling.exports.csv_report import csv_text
from backend.profiling.exports.html_report import html_report
from backend.profiling.exports.perfetto import TracedRun, trace_document, waiting_track
from backend.profiling.history import KEPT_RUNS, RunFilter
from backend.profiling.run_summary import StoredRun
from backend.profiling.spans import PipelineProfile
from backend.units import iso
from backend.web.access.own_runs import own_jobs, stored_run
from backend.web.api.answers import json_answer, service_of
from backend.web.api.sampled_tracks import sampled_tracks

MOST_TRACED = 50
# The report brings everything along, and must not run what a name in it may hold.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

blueprint = Blueprint("report", __name__, url_prefix="/api/performance")


class ReportFormat(StrEnum):
    """What a report may be written as."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"
    PERFETTO = "perfetto"


@dataclass(frozen=True)
class Asked:
    """Which runs a report is about: one, or the newest of a pipeline or of all."""

    service: JobService
    run: str | None
    pipeline: str | None
    limit: int

    def summaries(self) -> list[dict[str, Any]]:
        """Return the summaries, newest first."""
        if self.run is not None:
            return [self.stored(self.run).summary.to_document()]
        wanted = RunFilter(pipeline=self.pipeline, limit=self.limit, jobs=own_jobs())
        return [run.to_document() for run in self.service.run_history.runs(wanted)]

    def stored(self, run_id: str) -> StoredRun:
        """Look up a run; raises NotFound."""
        return stored_run(self.service, run_id)


@blueprint.get("/report")
def report() -> Response:
    """Write the stored runs in the format asked for."""
    kind = _format(request.args.get("format", ReportFormat.JSON.value))
    asked = Asked(
        service_of(current_app.extensions),
        request.args.get("run"),
        request.args.get("pipeline"),
        _limit(request.args.get("limit", "200")),
    )
    return _WRITERS[kind](asked)


def _json(asked: Asked) -> Response:
    now = iso(asked.service.clock.now())
    stated: dict[str, Any] = {"generated_at": now, "version": __version__}
    if asked.run is not None:
        return json_answer(stated | asked.stored(asked.run).to_document())
    return json_answer(stated | {"items": asked.summaries()})


def _csv(asked: Asked) -> Response:
    return _file(csv_text(asked.summaries()), "text/csv; charset=utf-8", "performance.csv")


def _html(asked: Asked) -> Response:
    summaries = asked.summaries()
    shown = summaries[0]["run"] if summaries else None
    profile = PipelineProfile.from_document(asked.stored(shown).profile) if shown else None
    text = html_report(
        summaries, generated_at=asked.service.clock.now(), version=__version__, profile=profile
    )
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


def _perfetto(asked: Asked) -> Response:
    runs = _traced(asked)
    waiting = [waiting_track(runs)] if len(runs) > 1 else []
    document = trace_document(runs, [*waiting, *sampled_tracks(asked.service, runs)])
    text = json.dumps(document, separators=(",", ":"), default=str)
    return _file(text, "application/json", "performance.perfetto.json")


def _traced(asked: Asked) -> Sequence[TracedRun]:
    """Read whole profiles, oldest first; one that was removed meanwhile is left out."""
    names = [summary["run"] for summary in asked.summaries()[:MOST_TRACED]]
    found = [asked.service.run_history.run(name) for name in reversed(names)]
    return [_traced_run(stored) for stored in found if stored is not None]


def _traced_run(stored: StoredRun) -> TracedRun:
    summary = stored.summary
    return TracedRun(
        profile=PipelineProfile.from_document(stored.profile),
        title=f"{summary.pipeline} {summary.job_id or summary.run}",
        queue_s=summary.queue_s,
        facts={
            "run": summary.run,
            "version": summary.version,
            "shape_key": summary.shape_key,
            "batch_size": summary.batch_size,
            "settings": summary.settings or None,
        },
    )


def _file(text: str, content_type: str, name: str) -> Response:
    response = Response(text, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _format(text: str) -> ReportFormat:
    try:
        return ReportFormat(text)
    except ValueError as error:
        known = ", ".join(ReportFormat)
        raise InvalidParameter(f"format: {text[:40]!r} is none of {known}") from error


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= limit <= KEPT_RUNS:
        raise InvalidParameter(f"limit: a whole number from 1 to {KEPT_RUNS}")
    return limit


_WRITERS: dict[ReportFormat, Callable[[Asked], Response]] = {
    ReportFormat.JSON: _json,
    ReportFormat.CSV: _csv,
    ReportFormat.HTML: _html,
    ReportFormat.PERFETTO: _perfetto,
}
