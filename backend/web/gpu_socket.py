"""``/ws/gpu``: readings of all devices as they come."""

from __future__ import annotations

import json

from flask import current_app, request
from simple_websocket import Server

from backend.jobs.service import JobService
from backend.web.access.own_samples import without_foreign_jobs
from backend.web.gpu_feed import GpuFeed
from backend.web.live_connections import LiveConnections
from backend.web.socket_conduct import (
    GOING_AWAY,
    POLICY,
    converse,
    is_flooding,
    send,
    sock,
    socket_blueprint,
)

IDLE_S = 1.0

blueprint = socket_blueprint("gpu_socket")


@sock.route("/ws/gpu", bp=blueprint, endpoint="gpu_socket")  # type: ignore[untyped-decorator]
def gpu_socket(client: Server) -> None:
    """Send ten minutes of readings, then each new one, until somebody leaves."""
    converse(client, lambda: _follow(client))


def _follow(client: Server) -> int:
    service: JobService = current_app.extensions["meshkiln"]
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    last_id = request.args.get("last_id")
    feed = GpuFeed(service.looks.client, service.clock, last_id, live.stopping)
    while not feed.interrupted:
        message = feed.get(IDLE_S)
        if message is not None:
            message["devices"] = without_foreign_jobs(service.store.engine, message["devices"])
            send(client, json.dumps(message, separators=(",", ":")))
        if is_flooding(client):
            return POLICY
    return GOING_AWAY
