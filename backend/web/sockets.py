"""``/ws/jobs/<id>``: the events of a job as JSON, or the job as HTML for htmx."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Flask, current_app, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import LocalProtocolError

from backend.errors import NotFound
from backend.jobs.events import Event
from backend.web.job_feed import JobFeed
from backend.web.live_connections import LiveConnections
from backend.web.live_view import apply_event
from backend.web.security import CSRF_COOKIE, check_socket_origin

SEND_TIMEOUT_S = 3
PING_S = 25
MAX_CLIENT_MESSAGE = 4096
MAX_CLIENT_MESSAGES = 200
HTML_EVERY_S = 0.25
IDLE_S = 1.0
FINISHED, GOING_AWAY, POLICY, UNKNOWN_JOB = 1000, 1012, 1008, 4404

blueprint = Blueprint("sockets", __name__)
sock = Sock()


def init_sockets(app: Flask) -> None:
    """Register the socket routes."""
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": PING_S,
        "max_message_size": MAX_CLIENT_MESSAGE,
        # its reader may sleep until the next ping after the end; the process must not wait for it
        "thread_class": partial(threading.Thread, daemon=True),
    }
    app.register_blueprint(blueprint)


@blueprint.before_request
def admit() -> None:
    """Refuse before the upgrade: other sites, and more than we have threads for."""
    check_socket_origin()
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    g.give_back = live.open(request.remote_addr or "")


@blueprint.teardown_request
def dismiss(_error: BaseException | None) -> None:
    """Give the place back, however the socket ended."""
    give_back: Callable[[], None] | None = g.pop("give_back", None)
    if give_back:
        give_back()


@sock.route("/ws/jobs/<job_id>", bp=blueprint, endpoint="job_socket")  # type: ignore[untyped-decorator]
def job_socket(client: Server, job_id: str) -> None:
    """Follow a job until it ends, the client leaves or the server stops."""
    _limit_sending(client)
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    service = current_app.extensions["meshkiln"]
    last_event_id = request.args.get("last_event_id")
    as_html = request.args.get("format") == "html"
    try:
        with JobFeed(service, job_id, last_event_id, live.stopping) as feed:
            (_send_html if as_html else _send_json)(client, feed)
            code = FINISHED if feed.ended else GOING_AWAY if feed.interrupted else POLICY
    except NotFound:
        code = UNKNOWN_JOB
    except ConnectionClosed:
        return
    except (LocalProtocolError, OSError):  # gone, or reads so slowly that it counts as gone
        _cut(client)
        return
    _close(client, code)


def _send_json(client: Server, feed: JobFeed) -> None:
    while not (feed.ended or feed.interrupted):
        event = feed.get(IDLE_S)
        if event is not None:
            _send(client, json.dumps(event.document()))
        if _is_flooding(client):
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
            _send(client, _render(document))
            sent_s, waits = now_s, False
        if _is_flooding(client):
            return


def _send(client: Server, text: str) -> None:
    """Send; raises OSError when the time limit cut the message off (send itself says nothing)."""
    started_s = time.monotonic()
    client.send(text)
    if time.monotonic() - started_s >= SEND_TIMEOUT_S:
        raise TimeoutError("the client does not read")


def _moved(document: dict[str, Any], event: Event, feed: JobFeed) -> dict[str, Any]:
    moved = apply_event(document, event.document())
    return (feed.document() or moved) if feed.ended else moved


def _render(document: dict[str, Any]) -> str:
    from backend.web.pages.fragments import render_job_live

    return render_job_live(document, csrf=request.cookies.get(CSRF_COOKIE, ""))


def _is_flooding(client: Server) -> bool:
    """Throw away what the client says; raises ConnectionClosed when it has gone."""
    if not client.connected:
        raise ConnectionClosed(client.close_reason, client.close_message)
    count = len(client.input_buffer)
    client.input_buffer.clear()
    return count > MAX_CLIENT_MESSAGES


def _limit_sending(client: Server) -> None:
    """Without a limit one client that never reads would hold its thread for ever."""
    client.sock.settimeout(None)
    client.sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0)
    )


def _cut(client: Server) -> None:
    """End the connection without waiting for the other side."""
    with contextlib.suppress(OSError):
        client.sock.shutdown(socket.SHUT_RDWR)


def _close(client: Server, code: int) -> None:
    with contextlib.suppress(ConnectionClosed, LocalProtocolError, OSError):
        client.close(code)
