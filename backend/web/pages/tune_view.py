"""Auto-tune on the page of the performance: its form, its last report, what is in force."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from backend.catalog import PipelineName, Preset, TuneParams
from backend.jobs.job_engines import engines_words
from backend.jobs.records import JobRecord, job_document
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.jobs.store import JobFilter
from backend.jobs.tuned_settings import StoredReport, reports_of, values_kept
from backend.runtime_settings import Value
from backend.tuning.picture import drawn_picture
from backend.tuning.report_words import (
    outcome_words,
    speed_words,
    stop_words,
    value_words,
    verdict_words,
)
from backend.units import iso, new_id
from backend.web.pages.service import job_service
from backend.web.security import CSRF_FIELD

JOB_NAME = "Auto-tune"
FORM_ID = "form_id"
PICTURE_FILE = "image.png"


@dataclass(frozen=True)
class ReportWords:
    """What the templates call to say a report."""

    outcome: Callable[[str], str] = outcome_words
    stop: Callable[[str], str] = stop_words
    verdict: Callable[[str], str] = verdict_words
    speed: Callable[[Mapping[str, Any]], str] = speed_words
    value: Callable[[Value], str] = value_words


WORDS = ReportWords()


def tuning_words() -> ReportWords:
    """Return the words of reports, for templates."""
    return WORDS


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    address = "/performance/tune"
    blueprint.add_url_rule(address, endpoint="tune_panel", view_func=panel)
    blueprint.add_url_rule(address, endpoint="tune_start", view_func=start, methods=["POST"])
    blueprint.add_url_rule(f"{address}/<job_id>", endpoint="tune_kept", view_func=kept)
    blueprint.add_app_template_global(tuning_words)


def panel() -> str:
    """The panel alone, which asks for itself while auto-tune runs."""
    return render_template("fragments/perf_tune.html", tune=tune_view(job_service()))


def start() -> Response:
    """Submit a job that tunes, with a picture drawn here; one that runs already is shown."""
    service = job_service()
    running = _running(_newest_job(service))
    if running is not None:
        return redirect(f"/jobs/{running['id']}", 303)
    ours = (CSRF_FIELD, FORM_ID)
    given = {name: text for name, text in request.form.items() if text and name not in ours}
    new = service.prepare(PipelineName.TUNE, given, JOB_NAME)
    new = replace(new, idempotency_key=_form_key(), body_sha256=PipelineName.TUNE)
    job, _, _ = service.submit(new, {PICTURE_FILE: drawn_picture()})
    return redirect(f"/jobs/{job.id}", 303)


def _form_key() -> str | None:
    """Name the form that was sent, so that a double click submits one job."""
    form_id = request.form.get(FORM_ID, "")
    return f"tune-{form_id}" if re.fullmatch(r"[0-9a-z]{26}", form_id) else None


def kept(job_id: str) -> Response:
    """Tell whether what a job found is kept and in force; the command line asks after its end.

    Returns
    -------
    Response
        JSON: ``kept``, whether there is its report; ``adopted``, whether its changes were put in
        force; ``in_force``, whether each change holds now, by the name of the setting.
    """
    service = job_service()
    stored = reports_of(service).of_job(job_id)
    return jsonify(
        kept=stored is not None,
        adopted=stored is not None and stored.adopted,
        in_force=values_kept(service, stored.report) if stored else {},
    )


def tune_view(service: JobService) -> dict[str, Any]:
    """Write what the template shows.

    Returns
    -------
    dict
        ``running`` (the job that waits or runs, or None), ``ended_without`` (the newest job if it
        ended without a report, or None), ``last`` (the newest report, or None), ``in_force``
        (what was found last, each with its work and whether it holds), ``adopted_at``, ``presets``,
        ``form`` (its first values), ``form_id`` (the same for a form sent twice) and ``words``.
    """
    job = _newest_job(service)
    reports = reports_of(service)
    last, adopted = reports.latest(), reports.latest(adopted=True)
    return {
        "running": _running(job),
        "ended_without": _ended_without(job, last),
        "last": last.to_document() if last else None,
        "in_force": _in_force(service, adopted),
        "adopted_at": iso(adopted.finished_at) if adopted else None,
        "presets": [preset.value for preset in Preset],
        "form": TuneParams().model_dump(mode="json"),
        "form_id": new_id(service.clock.now()),
        "words": WORDS,
    }


def _newest_job(service: JobService) -> JobRecord | None:
    wanted = JobFilter(pipeline=PipelineName.TUNE.value, listed_only=False, limit=1)
    return next(iter(service.store.list(wanted).items), None)


def _running(job: JobRecord | None) -> dict[str, Any] | None:
    return None if job is None or job.status.is_terminal else job_document(job)


def _ended_without(job: JobRecord | None, last: StoredReport | None) -> dict[str, Any] | None:
    if job is None or job.status not in (JobState.CANCELED, JobState.FAILED):
        return None
    if last is not None and job.finished_at is not None and last.finished_at > job.finished_at:
        return None  # the command line has tuned since
    return job_document(job)


def _in_force(service: JobService, adopted: StoredReport | None) -> list[dict[str, Any]]:
    if adopted is None:
        return []
    try:
        holds = values_kept(service, adopted.report)
    except SQLAlchemyError:  # the panel says what was found; what holds is then not known
        return []
    work = {name: adopted.report[name] for name in ("pipeline", "device")}
    work["engines"] = engines_words(adopted.report["engines"])
    return [
        work | {"title": change["title"], "value": change["to"], "holds": holds[change["setting"]]}
        for change in adopted.report["changes"]
    ]
