"""``/api/v1/jobs/<id>/events``: the events of a job as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from flask import Blueprint, Response, current_app, request

from backend.jobs.service import JobService
from backend.web.access.guard import watch_admission
from backend.web.job_feed import JobFeed
from backend.web.live_connections import LiveConnections

HEARTBEAT_S = 15.0
IDLE_S = 1.0
RETRY_MS = 2000

blueprint = Blueprint("events", __name__)


@blueprint.get("/api/v1/jobs/<job_id>/events")
def stream(job_id: str) -> Response:
    """Stream the events until the end, or until the key is; ``Last-Event-ID`` resumes."""
    service: JobService = current_app.extensions["meshkiln"]
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    give_back = live.open(request.remote_addr or "")
    last_id = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
    try:
        feed = JobFeed(service, job_id, last_id, live.stopping)
    except BaseException:
        give_back()
        raise
    response = Response(_messages(feed, watch_admission()), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(give_back)
    return response


def _messages(feed: JobFeed, is_admitted: Callable[[], bool]) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    silent_s = 0.0
    with feed:
        while not (feed.ended or feed.interrupted) and is_admitted():
            event = feed.get(IDLE_S)
            if event is not None:
                yield _message(event.document())
                silent_s = 0.0
                continue
            silent_s += IDLE_S
            if silent_s >= HEARTBEAT_S:
                yield ": still here\n\n"
                silent_s = 0.0


def _message(document: dict[str, Any]) -> str:
    return f"id: {document['id']}\nevent: {document['type']}\ndata: {json.dumps(document)}\n\n"
