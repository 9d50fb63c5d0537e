"""``/healthz`` (this process) and ``/readyz`` (everything a job needs)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import redis
from flask import Blueprint, Response, current_app
from sqlalchemy.exc import SQLAlchemyError

from backend.catalog import Queue
from backend.jobs.service import JobService
from backend.web.access.guard import is_stranger
from backend.web.api.answers import json_answer, service_of

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Whether this process answers."""
    return json_answer({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Whether jobs can run: 503 until database, Redis and a worker of each queue answer."""
    document = readiness(service_of(current_app.extensions))
    status = 200 if document["ready"] else 503
    if is_stranger():
        document = {"ready": document["ready"]}
    return json_answer(document, status)


def readiness(service: JobService) -> dict[str, Any]:
    """Look at database, Redis and workers."""
    database, broker = _database(service), _redis(service)
    workers = [_worker(service, status) for status in service.worker_status()]
    beating = {worker["queue"] for worker in workers}
    missing = [queue.value for queue in Queue if queue not in beating]
    return {
        "ready": database == broker == "ok" and not missing,
        "database": database,
        "redis": broker,
        "workers": workers,
        "missing_workers": missing,
    }


def age_ms(service: JobService, sampled_at: str | None) -> int | None:
    """Milliseconds since a worker wrote its status."""
    if not sampled_at:
        return None
    then = datetime.fromisoformat(sampled_at)
    return max(0, round((service.clock.now() - then).total_seconds() * 1000))


def _worker(service: JobService, status: dict[str, Any]) -> dict[str, Any]:
    shown = {key: status.get(key) for key in ("queue", "host", "pid", "state", "mode")}
    return shown | {"age_ms": age_ms(service, status.get("sampled_at"))}


def _database(service: JobService) -> str:
    try:
        service.store.counts()
    except SQLAlchemyError as error:
        return f"unavailable ({type(error).__name__})"
    return "ok"


def _redis(service: JobService) -> str:
    try:
        service.events.client.ping()
    except redis.RedisError as error:
        return f"unavailable ({type(error).__name__})"
    return "ok"
