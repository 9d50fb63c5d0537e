"""Recordings to upload, and a reader of them within the test's own process."""

from __future__ import annotations

import io
import json
import os
import wave
from typing import IO

import numpy as np
import pytest

from backend.audio.__main__ import answer_for
from backend.settings import Settings
from backend.web import audio_child


def wav_bytes(duration_s: float = 1.0, rate_hz: int = 8000, channels: int = 1) -> bytes:
    """A hum as WAV of 16 bits."""
    at = np.arange(int(duration_s * rate_hz)) / rate_hz
    hum = (8000 * np.sin(2 * np.pi * 220 * at)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(hum, channels).tobytes())
    return buffer.getvalue()


def _hear_here(
    source: IO[bytes], target: IO[bytes], settings: Settings
) -> tuple[bytes, int, bytes]:
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    with os.fdopen(os.dup(source.fileno()), "rb") as file:
        data = file.read()
    answer = answer_for(data, settings.max_audio_s, settings.max_audio_mb, target.fileno())
    return json.dumps(answer).encode(), 0 if "facts" in answer else 1, b""


@pytest.fixture
def heard_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as the child does, by the same function, without starting it."""
    monkeypatch.setattr(audio_child, "_run", _hear_here)
