"""The page of the GPU: the card, its memory, the models on it, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.errors import MeshkilnError, WorkerOffline
from backend.jobs.gpu_commands import CommandKind
from backend.jobs.gpu_settings import kept_settings
from backend.settings import RESIDENCY_POLICIES
from backend.web.api.gpu import gpu_status
from backend.web.api.gpu_control import command_workers, read_settings
from backend.web.json_body import wrong_field
from backend.web.pages.service import job_service

Document = Mapping[str, Any]

ACTIONS = (CommandKind.OFFLOAD, CommandKind.RELEASE, CommandKind.PRELOAD)
OUTCOMES = ("done", "draining", "started", "pending")
NEVER_S = -1.0
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MODEL_HUES = 5

ARRIVING = frozenset({"loading", "restoring"})
LEAVING = frozenset({"draining", "offloading", "releasing"})
ON_DISK = frozenset({"unloaded", "failed"})


class Situation(StrEnum):
    """What the page has to show."""

    OFFLINE = "offline"
    CPU = "cpu"
    DEGRADED = "degraded"
    GPU = "gpu"


@dataclass(frozen=True)
class MemoryPart:
    """One part of the card's memory.

    Parameters
    ----------
    kind : str
        Names the look: ``model-0``, ``activations``, ``free``, ...
    mark : str
        Letter in the bar and in the legend, so that nobody needs to tell colours apart.
    size_mb : float, optional
        None when it is not known; such a part is in the legend only.
    """

    kind: str
    mark: str
    label: str
    size_mb: float | None


@dataclass(frozen=True)
class ControlButton:
    """A button, and why it does nothing now, if so."""

    action: str
    label: str
    reason: str | None


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/gpu", endpoint="gpu", view_func=show)
    blueprint.add_url_rule("/gpu/live", endpoint="gpu_live", view_func=live)
    blueprint.add_url_rule(
        "/gpu/control", endpoint="gpu_control", view_func=control, methods=["POST"]
    )
    blueprint.add_url_rule(
        "/gpu/rules", endpoint="gpu_rules", view_func=change_rules, methods=["POST"]
    )


def show() -> str:
    """Show the page; the address may carry what the last form achieved."""
    return _page(_outcome(request.args))


def live() -> str:
    """The part of the page that changes."""
    return render_template("fragments/gpu_live.html", **_current_view())


def control() -> tuple[str, int] | Response:
    """Offload, release or load one model, or all of them."""
    name = request.form.get("model") or None
    try:
        action = _action(request.form.get("action"))
        outcome = _carry_out(action, name, drain=bool(request.form.get("drain")))
    except MeshkilnError as error:
        return _refusal(error)
    return _answer({"action": action.value, "outcome": outcome, "model": name})


def change_rules() -> tuple[str, int] | Response:
    """Change policy and idle times while the server runs."""
    try:
        outcome = _ask(CommandKind.SETTINGS, rules_of_form(request.form))
    except MeshkilnError as error:
        return _refusal(error)
    return _answer({"action": CommandKind.SETTINGS.value, "outcome": outcome, "model": None})


def rules_of_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Read the form of the rules; an empty time means never.

    Raises
    ------
    InvalidParameter
        A policy does not exist, or a time is no number of seconds.
    """
    rules: dict[str, Any] = {"policy": form["policy"]} if "policy" in form else {}
    for name in ("idle_offload_s", "idle_release_s"):
        if name in form:
            rules[name] = _seconds(name, form[name])
    return read_settings(rules)


def gpu_view(document: Document) -> dict[str, Any]:
    """Write what the templates show of the status document.

    Parameters
    ----------
    document : mapping
        As ``GET /api/gpu/status`` answers; keys may be missing and values None.

    Returns
    -------
    dict
        ``status``, ``situation``, ``devices``, ``residency``, ``on_gpu`` (whether models go to a
        GPU), ``memory_parts``, ``bar`` (parts with a size), ``models`` (with ``buttons``),
        ``all_buttons`` and ``policies``.
    """
    situation = _situation(document)
    residency = document.get("residency") or {}
    devices = document.get("devices") or []
    models = document.get("models") or []
    on_gpu = situation is Situation.GPU and residency.get("backend") != "cpu"
    reason = _closed(situation)
    budget = residency.get("budget") or {}
    parts = memory_parts(devices[0], budget, models) if devices else []
    return {
        "status": document,
        "situation": situation.value,
        "devices": devices,
        "residency": residency,
        "on_gpu": on_gpu,
        "memory_parts": parts,
        "bar": [part for part in parts if part.size_mb],
        "models": [{**m, "buttons": buttons(m, on_gpu=on_gpu, closed=reason)} for m in models],
        "all_buttons": buttons_for_all(models, on_gpu=on_gpu, closed=reason),
        "policies": RESIDENCY_POLICIES,
    }


def memory_parts(device: Document, budget: Document, models: list[Any]) -> list[MemoryPart]:
    """Divide the card's memory into what is shown, weights by model first."""
    parts = [
        MemoryPart(f"model-{at % MODEL_HUES}", LETTERS[at % len(LETTERS)], _title(m), m["vram_mb"])
        for at, m in enumerate(m for m in models if m.get("vram_mb"))
    ]
    ours = {key: budget.get(f"{key}_mb") for key in ("activations", "cache")}
    others_mb = budget.get("others_mb")
    if others_mb is None:
        others_mb = device.get("vram_used_by_others_mb")
    parts += [
        MemoryPart("activations", "w", "Working memory of running jobs", ours["activations"]),
        MemoryPart("cache", "c", "Cache, returned when needed", ours["cache"]),
        MemoryPart("others", "o", "Other programs", others_mb),
    ]
    rest_mb = _not_told_apart(device, parts)
    if rest_mb:
        parts.append(MemoryPart("rest", "?", "In use, not told apart", rest_mb))
    return parts + _free_parts(device, budget, parts)


def _not_told_apart(device: Document, parts: list[MemoryPart]) -> float | None:
    """What the driver counts as used beyond the parts, when some part is unknown."""
    used_mb = device.get("vram_used_mb")
    if used_mb is None or all(part.size_mb is not None for part in parts):
        return None
    return max(0.0, float(used_mb) - sum(part.size_mb or 0.0 for part in parts))


def _free_parts(device: Document, budget: Document, used: list[MemoryPart]) -> list[MemoryPart]:
    """The reserve and what is free beyond it; the driver's figure where ours is incomplete."""
    total_mb, reserve_mb = budget.get("total_mb"), budget.get("reserve_mb")
    free_mb = device.get("vram_free_mb")
    if total_mb is not None and all(part.size_mb is not None for part in used):
        free_mb = max(0.0, total_mb - sum(part.size_mb or 0.0 for part in used))
    if free_mb is not None and reserve_mb is not None:
        reserve_mb = min(reserve_mb, free_mb)
        free_mb -= reserve_mb
    return [
        MemoryPart("reserve", "r", "Reserve, kept free on purpose", reserve_mb),
        MemoryPart("free", "f", "Free", free_mb),
    ]


def buttons(model: Document, *, on_gpu: bool, closed: str | None) -> list[ControlButton]:
    """The three buttons of a model; ``closed`` is why none of them can work."""
    reasons = {
        CommandKind.OFFLOAD: _why_no_offload(model, on_gpu=on_gpu),
        CommandKind.RELEASE: _why_no_release(model),
        CommandKind.PRELOAD: _why_no_load(model, on_gpu=on_gpu),
    }
    return _buttons(reasons, closed)


def buttons_for_all(models: list[Any], *, on_gpu: bool, closed: str | None) -> list[ControlButton]:
    """The three buttons for all models: closed when one is in use, or none has anything to do."""
    in_use = next((_busy(m) for m in models if _busy(m)), None)
    offload = [_why_no_offload(m, on_gpu=on_gpu) for m in models]
    release = [_why_no_release(m) for m in models]
    load = [_why_no_load(m, on_gpu=on_gpu) for m in models]
    nowhere = "No model is on the GPU." if on_gpu else "There is no GPU to move them from."
    reasons = {
        CommandKind.OFFLOAD: (nowhere if all(offload) and not (in_use and on_gpu) else in_use),
        CommandKind.RELEASE: in_use or ("No model is loaded." if all(release) else None),
        CommandKind.PRELOAD: "All models are loaded already." if all(load) else None,
    }
    return _buttons(reasons, closed)


def _buttons(reasons: Mapping[CommandKind, str | None], closed: str | None) -> list[ControlButton]:
    labels = {"offload": "Offload to CPU", "release": "Release", "preload": "Load"}
    return [ControlButton(a.value, labels[a], closed or reasons[a]) for a in ACTIONS]


def _closed(situation: Situation) -> str | None:
    return "No worker reports." if situation is Situation.OFFLINE else None


def _busy(model: Document) -> str | None:
    """Why a model cannot leave now."""
    leases = model.get("leases") or 0
    if leases:
        return f"{_title(model)} is in use by {leases} {'job' if leases == 1 else 'jobs'}."
    return f"{_title(model)} is on its way in." if model.get("state") in ARRIVING else None


def _why_no_offload(model: Document, *, on_gpu: bool) -> str | None:
    state = model.get("state")
    if not on_gpu:
        return "There is no GPU to move it from."
    if state in ON_DISK:
        return "It is on disk."
    if state == "host":
        return "It is in memory already."
    return _busy(model) or ("It is leaving already." if state in LEAVING else None)


def _why_no_release(model: Document) -> str | None:
    state = model.get("state")
    if state == "unloaded":
        return "It is on disk already."
    return _busy(model) or ("It is being released." if state == "releasing" else None)


def _why_no_load(model: Document, *, on_gpu: bool) -> str | None:
    state = model.get("state")
    if state == "resident":
        return "It is on the GPU already." if on_gpu else "It is loaded already."
    if state in ARRIVING:
        return "It is on its way in."
    return "It is leaving." if state in LEAVING else None


def _situation(document: Document) -> Situation:
    worker = document.get("worker") or {}
    if worker.get("state") in (None, "offline"):
        return Situation.OFFLINE
    if document.get("degraded"):
        return Situation.DEGRADED
    uses_gpu = document.get("devices") and document.get("mode") != "cpu"
    return Situation.GPU if uses_gpu else Situation.CPU


def _title(model: Document) -> str:
    return str(model.get("title") or model["name"])


def _action(text: str | None) -> CommandKind:
    for action in ACTIONS:
        if action.value == text:
            return action
    raise wrong_field("action", "must be offload, release or preload")


def _carry_out(action: CommandKind, name: str | None, *, drain: bool) -> str:
    """Ask the worker; loading all is one command for each model that can be loaded."""
    if action is not CommandKind.PRELOAD:
        return _ask(action, {"model": name, "drain": drain})
    names = [name] if name else _loadable()
    return max((_ask(action, {"model": one}) for one in names), default="done", key=OUTCOMES.index)


def _loadable() -> list[str]:
    view = _current_view()
    if view["situation"] == Situation.OFFLINE:
        raise WorkerOffline
    return [m["name"] for m in view["models"] if not _why_no_load(m, on_gpu=view["on_gpu"])]


def _ask(action: CommandKind, arguments: dict[str, Any]) -> str:
    return str(command_workers(job_service(), action, arguments)["status"])


def _answer(outcome: dict[str, str | None]) -> tuple[str, int] | Response:
    """Say what was achieved: to htmx as a message, to a plain form by way of the page."""
    if "HX-Request" in request.headers:
        return _message(outcome), 200
    filled = {key: value for key, value in outcome.items() if value}
    return redirect(f"/gpu?{urlencode(filled)}", 303)


def _refusal(error: MeshkilnError) -> tuple[str, int]:
    """Say why not, with the status of the error; whoever asked stays on the page."""
    refused = {"error": error, "model": request.form.get("model"),
               "action": request.form.get("action")}  # fmt: skip
    if "HX-Request" in request.headers:
        return _message(refused), error.http_status
    return _page(refused), error.http_status


def _message(message: Document | None) -> str:
    return render_template("fragments/gpu_message.html", message=message)


def _page(message: Document | None) -> str:
    return render_template("pages/gpu.html", message=message, **_current_view())


def _current_view() -> dict[str, Any]:
    """What is shown now; rules just saved are shown before the next heartbeat repeats them."""
    service = job_service()
    document = gpu_status(service)
    if document.get("residency"):
        rules = document["residency"] | kept_settings(service.looks.client)
        document = document | {"residency": rules}
    return gpu_view(document)


def _outcome(values: Mapping[str, str]) -> dict[str, str | None] | None:
    """Read an outcome from an address; None when it is none of ours."""
    action, outcome = values.get("action"), values.get("outcome")
    if action not in set(CommandKind) or outcome not in OUTCOMES:
        return None
    return {"action": action, "outcome": outcome, "model": values.get("model")}


def _seconds(name: str, text: str) -> float:
    if not text.strip():
        return NEVER_S
    try:
        return float(text)
    except ValueError as error:
        raise wrong_field(name, "must be a number of seconds, or empty for never") from error
