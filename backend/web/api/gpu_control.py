"""``POST /api/gpu/offload|release|preload|settings``: asked of the workers, answered by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from flask import Blueprint, Response, current_app, request

from backend.catalog import Queue
from backend.errors import ManagementOff, ModelLeased, WorkerOffline
from backend.jobs.error_documents import error_of
from backend.jobs.gpu_commands import CommandKind, await_answer, send
from backend.jobs.gpu_settings import keep_settings
from backend.jobs.service import JobService
from backend.settings import RESIDENCY_POLICIES
from backend.web.api.answers import json_answer, service_of
from backend.web.api.gpu import gpu_status
from backend.web.api.gpu_workers import in_order, models_of
from backend.web.json_body import body_object, wrong_field

WAIT_S = 3.0
WORST_FIRST = ("pending", "started", "draining", "done")
LONGEST_TIMER_S = 7 * 24 * 3600.0
_MODEL = frozenset({"model", "drain"})
_TIMERS = ("idle_offload_s", "idle_release_s")

blueprint = Blueprint("gpu_control", __name__)


@blueprint.post("/api/gpu/offload")
@blueprint.post("/gpu/offload", endpoint="offload_alias")
def offload() -> Response:
    """Move one model, or all, to host memory; 202 while a job still uses one."""
    return _answer(CommandKind.OFFLOAD, _model_arguments(drain=True))


@blueprint.post("/api/gpu/release")
@blueprint.post("/gpu/release", endpoint="release_alias")
def release() -> Response:
    """Free one model, or all; 409 while a job uses one, unless it may drain."""
    return _answer(CommandKind.RELEASE, _model_arguments(drain=False))


@blueprint.post("/api/gpu/preload")
@blueprint.post("/gpu/preload", endpoint="preload_alias")
def preload() -> Response:
    """Begin to bring a model to the device."""
    arguments = _model_arguments(drain=False)
    if arguments["model"] is None:
        raise wrong_field("model", "names the model to load")
    return _answer(CommandKind.PRELOAD, arguments)


@blueprint.post("/api/gpu/settings")
def settings() -> Response:
    """Change policy and timers; kept for workers that start later."""
    changes = read_settings(body_object(request, frozenset({"policy", *_TIMERS})))
    return _answer(CommandKind.SETTINGS, changes)


@blueprint.get("/api/gpu/memory_summary")
def memory_summary() -> Response:
    """Say in plain text who holds the device's memory."""
    text = summary_text(gpu_status(service_of(current_app.extensions)))
    return Response(text, mimetype="text/plain")


def command_workers(
    service: JobService, kind: CommandKind, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Ask every GPU worker and sum their answers up.

    Returns
    -------
    dict
        ``status`` ('done', 'draining', 'started', or 'pending' when one has not answered yet)
        and ``models`` with the outcome of each.

    Raises
    ------
    WorkerOffline
        No worker reports.
    MeshkilnError
        What a worker refused the command with.
    """
    client = service.events.client
    try:
        if kind is CommandKind.SETTINGS:
            _keep(service, arguments)
        beats = in_order([b for b in service.worker_status() if b.get("queue") == Queue.GPU])
        if not beats and kind is CommandKind.SETTINGS:
            return {"status": "pending", "models": {}}  # kept for the next worker
        if not beats:
            raise WorkerOffline("No GPU worker has reported in the last five seconds.")
        _refuse_leased(beats, kind, arguments)
        workers = [beat["epoch"] for beat in beats]
        asked = workers[:1] if kind is CommandKind.PRELOAD else workers
        now = service.clock.now()
        sent = [send(client, worker, kind, arguments, now) for worker in asked]
        answers = _await_all(service, sent)
    except redis.RedisError as error:
        raise WorkerOffline("The message broker does not answer.") from error
    return _sum_up(answers)


def read_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Check policy and timers; raises InvalidParameter with the field to blame."""
    changes: dict[str, Any] = {}
    if body.get("policy") is not None:
        if body["policy"] not in RESIDENCY_POLICIES:
            raise wrong_field("policy", f"must be one of {', '.join(RESIDENCY_POLICIES)}")
        changes["policy"] = body["policy"]
    for name in _TIMERS:
        if body.get(name) is not None:
            changes[name] = _seconds(name, body[name])
    if not changes:
        raise wrong_field("policy", f"or one of {', '.join(_TIMERS)} must be given")
    return changes


def summary_text(status: Mapping[str, Any]) -> str:
    """Write who holds the memory of the device, one line each."""
    residency = status.get("residency") or {}
    budget = residency.get("budget") or {}
    lines = [f"backend: {residency.get('backend') or 'none in use'}"]
    lines += [f"{name.removesuffix('_mb')}: {_mb(value)}" for name, value in budget.items()]
    lines += [
        f"model {model['name']}: {model['state']}, device {_mb(model['vram_mb'])}, "
        f"host {_mb(model['ram_mb'])}, leases {model['leases']}"
        for model in status.get("models") or []
    ]
    if status.get("reason_unavailable"):
        lines.append(f"no GPU: {status['reason_unavailable']}")
    return "\n".join(lines) + "\n"


def _answer(kind: CommandKind, arguments: Mapping[str, Any]) -> Response:
    document = command_workers(service_of(current_app.extensions), kind, arguments)
    return json_answer(document, 200 if document["status"] == "done" else 202)


def _model_arguments(*, drain: bool) -> dict[str, Any]:
    body = body_object(request, _MODEL)
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise wrong_field("model", "must be a name or null")
    wanted = body.get("drain")
    if wanted is not None and not isinstance(wanted, bool):
        raise wrong_field("drain", "must be true or false")
    return {"model": model or None, "drain": drain if wanted is None else wanted}


def _seconds(name: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -1 <= float(str(value)) <= LONGEST_TIMER_S:
        raise wrong_field(name, "must be seconds, up to a week; -1 is never")
    return float(str(value))


def _keep(service: JobService, changes: Mapping[str, Any]) -> None:
    if not service.settings.gpu_management:
        raise ManagementOff
    keep_settings(service.events.client, changes)


def _refuse_leased(
    beats: Sequence[Mapping[str, Any]], kind: CommandKind, arguments: Mapping[str, Any]
) -> None:
    """Refuse before any worker acts: half of them having done it would be worse than none."""
    if kind not in (CommandKind.OFFLOAD, CommandKind.RELEASE) or arguments.get("drain"):
        return
    for model in models_of(beats):
        if arguments.get("model") in (None, model["name"]) and model.get("leases"):
            raise ModelLeased(f"{model['name']} is in use by {model['leases']} job(s).")


def _await_all(service: JobService, sent: Sequence[str]) -> list[dict[str, Any] | None]:
    deadline_s = service.clock.monotonic_s() + WAIT_S
    return [
        await_answer(service.events.client, one, deadline_s - service.clock.monotonic_s())
        for one in sent
    ]


def _sum_up(answers: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """Sum up what the workers said: a refusal outranks silence, and that what has begun."""
    problems = [a["problem"] for a in answers if a and "problem" in a]
    good = [a for a in answers if a and "problem" not in a]
    refusals = [p for p in problems if p["code"] != "unknown-model"]
    if refusals or (problems and not good and None not in answers):
        raise error_of((refusals or problems)[0])
    models: dict[str, str] = {}
    for one in good:
        for name, outcome in (one.get("models") or {}).items():
            models[name] = min(outcome, models.get(name, outcome), key=WORST_FIRST.index)
    words = {str(a["status"]) for a in good} | ({"pending"} if None in answers else set())
    return {"status": min(words, key=WORST_FIRST.index, default="pending"), "models": models}


def _mb(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} MB"
