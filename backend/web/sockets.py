"""``/ws/jobs/<id>``: the events of a job as JSON, or the job as HTML for htmx."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import current_app, request
from simple_websocket import Server

from backend.errors import NotFound
from backend.jobs.events import Event
from backend.web.job_feed import JobFeed
from backend.web.live_connections import LiveConnections
from backend.web.live_view import apply_event
from backend.web.security import CSRF_COOKIE
from backend.web.socket_conduct import (
    FINISHED,
    GOING_AWAY,
    POLICY,
    UNKNOWN_JOB,
    converse,
    is_flooding,
    send,
    sock,
    socket_blueprint,
)

HTML_EVERY_S = 0.25
IDLE_S = 1.0

blueprint = socket_blueprint("sockets")


@sock.route("/ws/jobs/<job_id>", bp=blueprint, endpoint="job_socket")  # type: ignore[untyped-decorator]
def job_socket(client: Server, job_id: str) -> None:
    """Follow a job until it ends, the client leaves or the server stops."""
    converse(client, lambda: _follow(client, job_id))


def _follow(client: Server, job_id: str) -> int:
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    service = current_app.extensions["meshkiln"]
    last_event_id = request.args.get("last_event_id")
    as_html = request.args.get("format") == "html"
    try:
        with JobFeed(service, job_id, last_event_id, live.stopping) as feed:
            (_send_html if as_html else _send_json)(client, feed)
            return FINISHED if feed.ended else GOING_AWAY if feed.interrupted else POLICY
    except NotFound:
        return UNKNOWN_JOB


def _send_json(client: Server, feed: JobFeed) -> None:
    while not (feed.ended or feed.interrupted):
        event = feed.get(IDLE_S)
        if event is not None:
            send(client, json.dumps(event.document()))
        if is_flooding(client):
            return


def _send_html(client: Server, feed: JobFeed) -> None:
    """Send the whole state at most four times a second."""
    document: dict[str, Any] = {}
    sent_s, waits = 0.0, False
    while not (feed.ended or feed.interrupted):
        event = feed.get(HTML_EVERY_S if waits else IDLE_S)
        if event is not None:
            document, waits = _moved(document, event, feed), True
        now_s = time.monotonic()
        if waits and (feed.ended or now_s - sent_s >= HTML_EVERY_S):
            send(client, _render(document))
            sent_s, waits = now_s, False
        if is_flooding(client):
            return


def _moved(document: dict[str, Any], event: Event, feed: JobFeed) -> dict[str, Any]:
    moved = apply_event(document, event.document())
    return (feed.document() or moved) if feed.ended else moved


def _render(document: dict[str, Any]) -> str:
    from backend.web.pages.fragments import render_job_live

    return render_job_live(document, csrf=request.cookies.get(CSRF_COOKIE, ""))
