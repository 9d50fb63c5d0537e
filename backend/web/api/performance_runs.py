"""``/api/performance/profiles|compare|targets``: what the history of runs holds."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_comparison import Side, SideKind, comparison_document, select_side
from backend.profiling.run_summary import RunStatus
from backend.profiling.targets import judged_targets
from backend.web.access.own_runs import own_jobs, stored_run
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import wrong_field

DEFAULT_RUNS, MAX_RUNS = 50, 500
MAX_TEXT = 400
MAX_DIGITS = 9

blueprint = Blueprint("performance_runs", __name__, url_prefix="/api/performance")


@blueprint.get("/profiles")
def profiles() -> Response:
    """List runs, newest first."""
    wanted = RunFilter(
        pipeline=_text("pipeline"),
        shape_key=_text("shape_key"),
        status=_status(),
        limit=_limit(),
        with_deep=True,
        jobs=own_jobs(),
    )
    return json_answer({"items": [run.to_document() for run in _history().runs(wanted)]})


@blueprint.get("/profiles/<run>")
def profile(run: str) -> Response:
    """Look up a run with its whole profile."""
    return json_answer(stored_run(service_of(current_app.extensions), run).to_document())


@blueprint.get("/compare")
def compare() -> Response:
    """Compare two versions, two settings or two runs."""
    before, after = (_side(_needed(name)) for name in ("before", "after"))
    return json_answer(comparison_document(before, after))


@blueprint.get("/targets")
def targets() -> Response:
    """Tell which targets recorded runs meet."""
    return json_answer({"items": judged_targets(_history())})


def _side(text: str) -> Side:
    side = select_side(_history(), text)
    if side.kind is SideKind.RUN:  # statistics are of all runs, but a single one has an owner
        stored_run(service_of(current_app.extensions), text)
    return side


def _history() -> RunHistory:
    return service_of(current_app.extensions).run_history


def _text(name: str) -> str | None:
    return (request.args.get(name) or "")[:MAX_TEXT] or None


def _needed(name: str) -> str:
    text = _text(name)
    if text is None:
        raise wrong_field(name, "must be a version, a setting=value or the id of a run")
    return text


def _status() -> RunStatus | None:
    text = _text("status")
    if text is None:
        return None
    try:
        return RunStatus(text)
    except ValueError as error:
        raise wrong_field("status", f"must be one of: {', '.join(RunStatus)}") from error


def _limit() -> int:
    text = request.args.get("limit") or str(DEFAULT_RUNS)
    is_number = text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS
    if not is_number or not 1 <= int(text) <= MAX_RUNS:
        raise wrong_field("limit", f"must be a number from 1 to {MAX_RUNS}")
    return int(text)
