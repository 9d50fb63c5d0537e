"""The gallery: all models, searched, filtered, paged, selected."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.errors import FilesExpired, InvalidParameter, JobNotFinished, NotFound
from backend.jobs.records import job_document
from backend.jobs.states import JobState
from backend.jobs.store import JobFilter
from backend.web.pages.fragments import card
from backend.web.pages.service import job_service

PAGE = 24
MAX_SELECTED = 500


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/gallery", view_func=gallery)
    blueprint.add_url_rule("/gallery/selection", view_func=selection, methods=["POST"])


def gallery() -> str:
    """Show a page of tiles; htmx asks for further tiles alone."""
    query, state = request.args.get("q", ""), _state()
    cursor = request.args.get("cursor")
    page = job_service().store.list(
        JobFilter(status=state, query=query or None, limit=PAGE, cursor=cursor)
    )
    following = {"q": query, "status": state or "", "cursor": page.next_cursor}
    context = {
        "jobs": [card(job_document(job)) for job in page.items],
        "next": f"/gallery?{urlencode(following)}" if page.next_cursor else None,
        "q": query,
        "status": state,
        "states": [s.value for s in JobState],
    }
    tiles_only = "HX-Request" in request.headers
    return render_template(
        "fragments/gallery_tiles.html" if tiles_only else "pages/gallery.html", **context
    )


def selection() -> Response:
    """Delete or run again what is selected; jobs that are gone meanwhile are passed over."""
    action = request.form.get("action")
    jobs = request.form.getlist("job")[:MAX_SELECTED]
    service = job_service()
    for job_id in jobs:
        try:
            if action == "delete":
                service.delete(job_id)
            elif action == "retry":
                service.retry(job_id)
            else:
                raise InvalidParameter("Choose what to do with the selection.")
        except (NotFound, FilesExpired, JobNotFinished):
            continue
    return redirect("/gallery", 303)


def _state() -> JobState | None:
    text = request.args.get("status")
    try:
        return JobState(text) if text else None
    except ValueError as error:
        raise InvalidParameter(f"status: {text!r} is not a state") from error
