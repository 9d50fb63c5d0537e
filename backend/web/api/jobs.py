"""``/api/v1/jobs``: submit, look up, list, cancel, retry, rename, delete."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request, url_for

from backend.catalog import PipelineName
from backend.jobs.records import JobRecord, job_document
from backend.jobs.states import JobState
from backend.jobs.store import MAX_PAGE, JobFilter
from backend.profiling.recorder import continue_from
from backend.web.api.answers import conditional, job_answer, json_answer, service_of
from backend.web.json_body import body_object, object_at, wrong_field
from backend.web.large_uploads import takes_a_mesh
from backend.web.submission import submit_from_request
from backend.web.uploads import MAX_NAME, clean_text

DEFAULT_PAGE = 50
MAX_DIGITS = 9
MAX_QUERY = 200

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs")


@blueprint.post("")
@takes_a_mesh
def submit() -> Response:
    """Accept a job: 202, or 200 when its idempotency key had been used for the same one."""
    with continue_from(request.headers):
        job, is_new, warnings = submit_from_request(request, service_of(current_app.extensions))
    if request.headers.get("HX-Request") == "true":
        return _redirect(job)
    return job_answer(job, 202 if is_new else 200, warnings)


@blueprint.get("")
def index() -> Response:
    """List jobs, newest first."""
    page = service_of(current_app.extensions).store.list(_filter())
    following = None
    if page.next_cursor:
        kept = {key: value for key, value in request.args.items() if key != "cursor"}
        following = url_for("jobs.index", **kept, cursor=page.next_cursor)  # type: ignore[arg-type]
    return json_answer({"items": [job_document(job) for job in page.items], "next": following})


@blueprint.get("/<job_id>")
def show(job_id: str) -> Response:
    """Look up a job."""
    job = service_of(current_app.extensions).store.get(job_id)
    return conditional(job_answer(job))


@blueprint.patch("/<job_id>")
def rename(job_id: str) -> Response:
    """Give a job another name."""
    body = body_object(request, frozenset({"name"}))
    name = body.get("name")
    if not isinstance(name, str) or not clean_text(name, MAX_NAME):
        raise wrong_field("name", "must be text that can be shown")
    job = service_of(current_app.extensions).rename(job_id, clean_text(name, MAX_NAME))
    return job_answer(job)


@blueprint.post("/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """Ask a job to stop."""
    return job_answer(service_of(current_app.extensions).cancel(job_id), 202)


@blueprint.post("/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Run an ended job again as a new one."""
    params: dict[str, Any] = {}
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        params = object_at(body_object(request, frozenset({"params"})), "params")
    with continue_from(request.headers):
        job = service_of(current_app.extensions).retry(job_id, params)
    if request.headers.get("HX-Request") == "true":
        return _redirect(job)
    return job_answer(job, 202)


@blueprint.delete("/<job_id>")
def delete(job_id: str) -> Response:
    """Remove a job and its files; a running one is canceled first."""
    service_of(current_app.extensions).delete(job_id)
    if request.headers.get("HX-Request") == "true":
        return Response("", 200)  # htmx swaps nothing on 204, but the card must go
    return Response(status=204)


def _redirect(job: JobRecord) -> Response:
    response = Response("", 200)
    response.headers["HX-Redirect"] = f"/jobs/{job.id}"
    return response


def _filter() -> JobFilter:
    args = request.args
    return JobFilter(
        status=_one_of("status", JobState),
        pipeline=_one_of("pipeline", PipelineName),
        batch_id=args.get("batch_id") or None,
        query=(args.get("q") or "")[:MAX_QUERY] or None,
        limit=page_limit(),
        cursor=args.get("cursor") or None,
    )


def _one_of(name: str, kind: Any) -> Any:
    text = request.args.get(name)
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise wrong_field(name, f"must be one of: {', '.join(kind)}") from error


def page_limit() -> int:
    """Read how many rows a page may have; raises InvalidParameter."""
    text = request.args.get("limit") or str(DEFAULT_PAGE)
    is_number = text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS
    if not is_number or not 1 <= int(text) <= MAX_PAGE:
        raise wrong_field("limit", f"must be a number from 1 to {MAX_PAGE}")
    return int(text)
