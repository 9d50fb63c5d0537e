"""What is told of speech on this server: whether it can run, and what its cache holds."""

from __future__ import annotations

from typing import Any

from backend.engines.speech_cache import cache_facts
from backend.engines.speech_setup import (
    speech_obstacle,
    speech_setup,
    transcriber_obstacle,
)
from backend.errors import EngineUnavailable
from backend.settings import Settings


def speech_row(settings: Settings) -> dict[str, Any]:
    """Look at the disk and write down what is there, JSON-ready.

    Returns
    -------
    dict
        ``unavailable`` (why no speech can be made; None when it can), ``is_tiny`` (tiny random
        networks are set up), ``auto_transcribe`` and ``transcribe_unavailable``, ``cache``.
    """
    return {
        "unavailable": speech_obstacle(settings),
        "is_tiny": _is_tiny(settings),
        "auto_transcribe": settings.auto_transcribe,
        "transcribe_unavailable": transcriber_obstacle(settings),
        "cache": cache_facts(settings) if settings.speech_path else None,
    }


def _is_tiny(settings: Settings) -> bool:
    try:
        return speech_setup(settings).is_tiny
    except EngineUnavailable:
        return False
