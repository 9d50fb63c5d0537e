"""The programs of speech that this process hosts: each started once, until its files change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.engines.gpu_presence import has_gpu
from backend.engines.speech_setup import SpeechSetup, TranscriberSetup
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.process import current_residency
from backend.settings import Settings

STEP_AUDIO, WHISPER = "step_audio", "whisper"
GUEST_FOLDER = Path(__file__).with_name("hosted_speech")
CACHED = ("tts.audio_tokenizer.wav2token",)

_lock = threading.Lock()
_hosted: dict[str, tuple[Any, ManagedEngine]] = {}


def hosted_speech(setup: SpeechSetup, settings: Settings) -> ManagedEngine:
    """Return the program that speaks; its weights are moved where they can be."""
    version = setup.version()

    def make() -> ManagedEngine:
        return ManagedEngine(
            STEP_AUDIO,
            "meshkiln_speech.step_audio:open_speech",
            ("clone", "edit"),
            title="Tiny random networks (noise)" if setup.is_tiny else "Step-Audio-EditX",
            movable="none" if setup.is_quantised else "auto",
            venv=setup.python,
            path=(GUEST_FOLDER, setup.code),
            arguments={
                "tokenizer_folder": str(setup.tokenizer),
                "model_folder": str(setup.editor),
                "in_place": setup.is_quantised,
            },
            budget_mb=None if setup.is_tiny else _budget_mb(settings),
            timeout_s=settings.speech_timeout_s,
            version=version,
            cached=CACHED,
        )

    return _kept(STEP_AUDIO, (setup, version, setup.weights(), settings), make)


def hosted_transcriber(setup: TranscriberSetup, settings: Settings) -> ManagedEngine:
    """Return the model that writes down recordings."""
    version = setup.version()

    def make() -> ManagedEngine:
        return ManagedEngine(
            WHISPER,
            "meshkiln_speech.whisper:open_transcriber",
            ("transcribe",),
            title=f"Transcription ({setup.model.name})",
            venv=setup.python,
            path=(GUEST_FOLDER,),
            arguments={"model_folder": str(setup.model)},
            timeout_s=settings.speech_timeout_s,
            version=version,
        )

    return _kept(WHISPER, (setup, version, settings), make)


def close_hosted() -> None:
    """End all programs that this process hosts; the next call starts them anew."""
    with _lock:
        for _, engine in _hosted.values():
            engine.close()
        _hosted.clear()


def _kept(name: str, key: Any, make: Callable[[], ManagedEngine]) -> ManagedEngine:
    """Return the one of the same setup in this residency, or make it in place of another's."""
    key = (key, current_residency())
    with _lock:
        known = _hosted.get(name)
        if known is not None and known[0] == key:
            return known[1]
        if known is not None:
            known[1].close()
            del _hosted[name]
        engine = make()
        _hosted[name] = (key, engine)
        return engine


def _budget_mb(settings: Settings) -> int | None:
    """Memory at work; the memory of the host is not promised away in advance."""
    return (settings.speech_vram_mb or None) if has_gpu(settings) else None
