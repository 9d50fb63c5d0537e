"""The pages of batches: the list, one batch while it runs, and its buttons."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from backend.errors import InvalidParameter, MeshkilnError, NotFound
from backend.jobs.batches.left_items import left_count, left_note
from backend.jobs.batches.records import BatchRecord, ItemState
from backend.jobs.service import BROKER_UNAVAILABLE
from backend.web.access.guard import count_items
from backend.web.pages.batches_formed import jobs_together
from backend.web.pages.batches_items import item_page
from backend.web.pages.batches_view import PARTS, batch_view
from backend.web.pages.service import job_service

LISTED = 20
MAX_LEFT = 100_000
WARNING_WORDS = {
    BROKER_UNAVAILABLE: "The queue did not answer. The jobs are kept and start when it is back."
}


class BatchAction(StrEnum):
    """What the buttons ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY_FAILED = "retry-failed"


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/batches", endpoint="batches", view_func=index)
    blueprint.add_url_rule("/batches/<batch_id>", endpoint="batch", view_func=show)
    blueprint.add_url_rule("/batches/<batch_id>/live", endpoint="batch_live", view_func=live)
    blueprint.add_url_rule("/batches/<batch_id>/<action>", view_func=batch_action, methods=["POST"])


def index() -> Response:
    """List batches, newest first; htmx asks for the list alone."""
    service = job_service()
    cursor = request.args.get("cursor") or None
    page = service.batches.page(LISTED, cursor)
    now = service.clock.now()
    context = {
        "views": [batch_view(batch, now) for batch in page.items],
        "older": urlencode({"cursor": page.next_cursor}) if page.next_cursor else None,
        "here": urlencode({"cursor": cursor}) if cursor else "",
    }
    list_only = "HX-Request" in request.headers
    template = "fragments/batch_list.html" if list_only else "batches/index.html"
    return _fresh(render_template(template, **context))


def show(batch_id: str) -> Response:
    """Show a batch; the live part is asked for anew while something is left to do."""
    batch = job_service().batches.get(batch_id)
    return _fresh(render_template("batches/show.html", notes=_notes(), **_context(batch)))


def live(batch_id: str) -> str:
    """The live part alone."""
    batch = job_service().batches.get(batch_id)
    return render_template("fragments/batch_live.html", **_context(batch))


def batch_action(batch_id: str, action: str) -> AnyResponse | str:
    """Pause, resume, cancel, or run what failed again."""
    by_script = "HX-Request" in request.headers
    try:
        batch = _carry_out(batch_id, action)
    except MeshkilnError as error:
        if not by_script:
            raise  # shown as a page, with the advice
        return _refusal(error)
    if not by_script:
        return to_page(batch)
    notes = [WARNING_WORDS.get(text, text) for text in batch.warnings]
    return render_template("fragments/batch_answer.html", notes=notes, **_context(batch))


def to_page(batch: BatchRecord) -> AnyResponse:
    """Lead to the page of a batch, and say there what could not be done at once."""
    known = [code for code in batch.warnings if code in WARNING_WORDS]
    left = next(filter(None, map(left_count, batch.warnings)), None)
    return redirect(url_for("pages.batch", batch_id=batch.id, note=known, left=left), 303)


def _notes() -> list[str]:
    """What the order before could not do at once; the words are ours, whatever the address says."""
    notes = [WARNING_WORDS[code] for code in request.args.getlist("note") if code in WARNING_WORDS]
    left = request.args.get("left", 0, type=int)
    return [*notes, left_note(left)] if 0 < left <= MAX_LEFT else notes


def _carry_out(batch_id: str, action: str) -> BatchRecord:
    batches = job_service().batches
    orders = {
        BatchAction.PAUSE: batches.pause,
        BatchAction.RESUME: batches.resume,
        BatchAction.CANCEL: batches.cancel,
        BatchAction.RETRY_FAILED: batches.retry_failed,
    }
    try:
        order = orders[BatchAction(action)]
    except ValueError as error:
        raise NotFound from error
    if action == BatchAction.RETRY_FAILED:
        count_items(batches.get(batch_id).counts.failed)
    return order(batch_id)


def _context(batch: BatchRecord) -> dict[str, Any]:
    service = job_service()
    state = _state()
    page = item_page(service, batch, state, _page_number())
    return {
        "view": batch_view(batch, service.clock.now()),
        "together": jobs_together(service.store.engine, batch.id),
        "items": page,
        "status": state.value if state else "",
        "here": urlencode({"status": state.value if state else "", "page": page.number}),
        "can_retry": batch.counts.failed > 0,
    }


def _state() -> ItemState | None:
    text = request.args.get("status")
    if not text:
        return None
    if text not in PARTS:
        raise InvalidParameter(f"status: {text[:40]!r} is not one of {', '.join(PARTS)}")
    return ItemState(text)


def _page_number() -> int:
    text = request.args.get("page", "1")
    try:
        return int(text)
    except ValueError as error:
        raise InvalidParameter(f"page: {text[:40]!r} is not a number") from error


def _fresh(page: str) -> Response:
    """Have the page asked for again when the user comes back to it: its buttons would be old."""
    response = make_response(page)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _refusal(error: MeshkilnError) -> Response:
    """Say why not above the batch, and leave the rest to the next look at it."""
    text = render_template("fragments/batch_refused.html", error=error)
    response = make_response(text, error.http_status)
    response.headers["HX-Retarget"] = "#batch-message"
    response.headers["HX-Reswap"] = "innerHTML"
    return response
