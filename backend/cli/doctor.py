"""``doctor``: what is missing on this machine, what that costs, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

from backend.errors import EngineUnavailable, StartFailed
from backend.gpu.telemetry import device_status
from backend.settings import Settings
from backend.units import SystemClock

_NO_NETWORK = "shapes are guessed from outlines by the built-in engine"
_NO_SPEECH = "jobs of speech fail; all others run"
_SET_UP_SPEECH = (
    "get Step-Audio-EditX and its models from their authors, then: .venv/bin/python -m backend "
    "serve --speech-path FOLDER --speech-models FOLDER (docs/speech.md)"
)


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One finding: what, what its absence costs, and the cure."""

    name: str
    verdict: Verdict
    finding: str
    cost: str = ""
    cure: str = ""


def examine(settings: Settings) -> list[Check]:
    """Run every check; none changes anything."""
    return [
        _python(),
        _data_dir(settings),
        _disk(settings),
        _memory(),
        _redis(settings),
        _port(settings),
        _device(),
        *_optional_packages(),
        _models(settings),
        *_speech(settings),
    ]


def print_report(settings: Settings) -> int:
    """Print every check; status 1 when something stops the server."""
    console = Console()
    checks = examine(settings)
    marks = {
        Verdict.OK: "[green]✓[/]",
        Verdict.MISSING: "[yellow]-[/]",
        Verdict.BROKEN: "[red]✗[/]",
    }
    for check in checks:
        finding = escape(check.finding)  # a path may hold brackets
        console.print(f"{marks[check.verdict]} [bold]{check.name}[/]: {finding}", soft_wrap=True)
        if check.cost:
            console.print(f"    costs: {check.cost}", soft_wrap=True, markup=False)
        if check.cure:
            console.print(f"    cure:  {check.cure}", soft_wrap=True, markup=False)
    return int(any(check.verdict is Verdict.BROKEN for check in checks))


def _python() -> Check:
    return Check("Python", Verdict.OK, f"{platform.python_version()}, {os.cpu_count()} cores")


def _data_dir(settings: Settings) -> Check:
    folder = settings.data_dir
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Check(
            "Data folder",
            Verdict.BROKEN,
            f"{folder} cannot be written",
            "the server does not start",
            "set MESHKILN_DATA_DIR to a folder of yours",
        )
    return Check("Data folder", Verdict.OK, str(folder))


def _disk(settings: Settings) -> Check:
    nearest = next(p for p in (settings.data_dir, *settings.data_dir.parents) if p.exists())
    free_mb = shutil.disk_usage(nearest).free // 2**20
    if free_mb < settings.disk_floor_mb:
        return Check(
            "Disk",
            Verdict.BROKEN,
            f"{free_mb} MB free",
            f"uploads are refused below {settings.disk_floor_mb} MB",
            "free some space, or set MESHKILN_DATA_DIR to another disk",
        )
    return Check("Disk", Verdict.OK, f"{free_mb / 1024:.1f} GB free")


def _memory() -> Check:
    available_gb = psutil.virtual_memory().available / 2**30
    if available_gb < 1.5:
        return Check(
            "Memory",
            Verdict.MISSING,
            f"{available_gb:.1f} GB available",
            "the high preset may run out of memory",
            "use the draft preset or close other programs",
        )
    return Check("Memory", Verdict.OK, f"{available_gb:.1f} GB available")


def _redis(settings: Settings) -> Check:
    from backend.jobs.broker import find_redis_server

    if settings.redis_url:
        return Check("Redis", Verdict.OK, "REDIS_URL is set")
    try:
        return Check("Redis", Verdict.OK, str(find_redis_server()))
    except StartFailed as error:
        return Check("Redis", Verdict.BROKEN, error.detail, "the server cannot start", error.advice)


def _port(settings: Settings) -> Check:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    if taken:
        return Check(
            f"Port {settings.port}",
            Verdict.MISSING,
            "in use (by a running Meshkiln, or another program)",
            "a second server cannot use it",
            "start with --port N",
        )
    return Check(f"Port {settings.port}", Verdict.OK, "free")


def _device() -> Check:
    status = device_status()
    if not status["available"]:
        return Check(
            "GPU",
            Verdict.MISSING,
            status["reason_unavailable"],
            "models with weights run on the processor, which takes far longer",
            "an NVIDIA card with its driver, and torch",
        )
    names = ", ".join(
        f"{device['name']} (compute capability {device['compute_capability']}, "
        f"{device['vram_total_mb']} MB)"
        for device in status["devices"]
    )
    return Check("GPU", Verdict.OK, f"{names}, driver {status['driver']}, CUDA {status['cuda']}")


def _models(settings: Settings) -> Check:
    """Look which models with weights could be run."""
    from backend.models.checkpoints.acceptance import Acceptances
    from backend.models.checkpoints.catalogue import ModelKind
    from backend.models.checkpoints.listing import model_states
    from backend.models.checkpoints.places import Places

    places = Places.of(settings)
    try:
        states = model_states(places, Acceptances(places.own_folder, SystemClock()))
    except StartFailed as error:
        return Check(
            "Models", Verdict.MISSING, error.detail, "no model can be loaded", error.advice
        )
    ready = [state.model.id for state in states if state.is_usable]
    if any(state.is_usable and state.model.kind is ModelKind.SHAPE for state in states):
        return Check("Models", Verdict.OK, f"ready: {', '.join(ready)}")
    waiting = [s.model.id for s in states if s.found and s.found.is_complete and not s.is_accepted]
    if waiting:
        finding = f"{', '.join(waiting)}: here, but the licence has not been accepted"
        cure = f".venv/bin/python -m backend models accept {waiting[0]}"
        return Check("Models", Verdict.MISSING, finding, _NO_NETWORK, cure)
    partial = [s.model.id for s in states if s.found is not None and not s.found.is_complete]
    finding = f"not complete: {', '.join(partial)}" if partial else "none is here"
    if ready:
        finding = f"none that makes shapes; ready: {', '.join(ready)}"
    cure = ".venv/bin/python -m backend models list, then: models pull ID"
    return Check("Models", Verdict.MISSING, finding, _NO_NETWORK, cure)


def _speech(settings: Settings) -> list[Check]:
    """Look whether recordings can be worked on, and written down where that is wanted."""
    from backend.engines.speech_setup import speech_setup, transcriber_setup

    checks = []
    try:
        setup = speech_setup(settings)
        kind = ", tiny random networks for trying out" if setup.is_tiny else ""
        checks.append(Check("Speech", Verdict.OK, f"ready: {setup.code}{kind}"))
    except EngineUnavailable as error:
        cure = error.advice if settings.speech_path else _SET_UP_SPEECH
        checks.append(Check("Speech", Verdict.MISSING, error.detail, _NO_SPEECH, cure))
    if not settings.auto_transcribe:
        return checks
    try:
        model = str(transcriber_setup(settings).model)
        checks.append(Check("Transcripts", Verdict.OK, f"ready: {model}"))
    except EngineUnavailable as error:
        cost = "jobs without a transcript fail, though --enable-auto-transcribe is on"
        checks.append(Check("Transcripts", Verdict.MISSING, error.detail, cost, error.advice))
    return checks


@dataclass(frozen=True)
class _Optional:
    package: str
    cost: str
    cure: str


_OPTIONAL = (
    _Optional(
        "torch",
        "models cannot be loaded; the built-in engines need none",
        ".venv/bin/python -m pip install -r requirements-gpu.txt",
    ),
    _Optional(
        "diffusers",
        "no model can paint; the built-in engine colours meshes without one",
        ".venv/bin/python -m pip install -r requirements-paint.txt",
    ),
    _Optional(
        "flash_attn",
        "attention runs through torch's own kernels",
        ".venv/bin/python -m pip install flash-attn (needs torch, a GPU and the CUDA compiler)",
    ),
    _Optional(
        "rembg",
        "pictures with a busy background are cut out by GrabCut, which often needs a hand",
        ".venv/bin/python -m pip install 'rembg[cpu]', then: .venv/bin/rembg d u2net",
    ),
)


def _optional_packages() -> list[Check]:
    checks = []
    for extra in _OPTIONAL:
        if importlib.util.find_spec(extra.package):
            checks.append(Check(extra.package, Verdict.OK, "installed" + _model_note(extra)))
        else:
            checks.append(
                Check(extra.package, Verdict.MISSING, "not installed", extra.cost, extra.cure)
            )
    return checks


def _model_note(extra: _Optional) -> str:
    if extra.package != "rembg":
        return ""
    folder = Path(os.environ.get("U2NET_HOME", Path.home() / ".u2net"))
    if (folder / "u2net.onnx").is_file():
        return f", model in {folder}"
    return f", but its model is not in {folder}: run '.venv/bin/rembg d u2net'"
