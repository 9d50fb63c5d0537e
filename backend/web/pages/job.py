"""The page of one job, and its buttons for browsers without JavaScript."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.errors import FieldProblem, InvalidParameter, NotFound
from backend.jobs.states import JobState
from backend.web.live_files import document_now
from backend.web.pages.empty_view import empty_view_words
from backend.web.pages.fragments import file_addresses, render_job_live
from backend.web.pages.parts import explorer
from backend.web.pages.service import job_service
from backend.web.security import csrf_token
from backend.web.uploads import clean_text

MAX_NAME = 120


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/jobs/<job_id>", view_func=show_job)
    blueprint.add_url_rule("/jobs/<job_id>/live", view_func=live)
    for action in (cancel, retry, delete, rename):
        blueprint.add_url_rule(
            f"/jobs/<job_id>/{action.__name__}", view_func=action, methods=["POST"]
        )


def show_job(job_id: str) -> str:
    """Show a job; the live part follows over a socket."""
    document = _document(job_id)
    files = file_addresses(document)
    return render_template(
        "pages/job.html",
        job=document,
        ended=JobState(document["status"]).is_terminal,
        files=files,
        empty_view=empty_view_words(document, files),
        live=render_job_live(document, csrf_token()),
        webhook=_webhook(job_id),
        explorer=explorer(document),
    )


def live(job_id: str) -> str:
    """The live part alone, for polling."""
    return render_job_live(_document(job_id), csrf_token())


def cancel(job_id: str) -> Response | str:
    """Ask the job to stop."""
    job_service().cancel(job_id)
    if "HX-Request" in request.headers:
        return live(job_id)
    return redirect(f"/jobs/{job_id}", 303)


def retry(job_id: str) -> Response:
    """Run the job again as a new one."""
    return redirect(f"/jobs/{job_service().retry(job_id).id}", 303)


def delete(job_id: str) -> Response:
    """Delete the job and its files."""
    job_service().delete(job_id)
    return redirect("/gallery", 303)


def rename(job_id: str) -> Response:
    """Give the job another name."""
    name = clean_text(request.form.get("name", ""), MAX_NAME)
    if not name:
        problem = FieldProblem("/name", "must not be empty")
        raise InvalidParameter("The name is empty.", fields=(problem,))
    job_service().rename(job_id, name)
    return redirect(f"/jobs/{job_id}", 303)


def _webhook(job_id: str) -> dict[str, Any] | None:
    """Tell where the end of the job is told, and how that went."""
    try:
        webhook = job_service().webhooks.document(job_id)
    except NotFound:
        return None
    return webhook | {"job_id": job_id, "host": urlsplit(webhook["url"]).hostname}


def _document(job_id: str) -> dict[str, Any]:
    service = job_service()
    return document_now(service, service.store.get(job_id))
