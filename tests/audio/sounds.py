"""Recordings made here: a tone in any format."""

from __future__ import annotations

import io

import numpy as np
import soundfile

RATE_HZ = 16_000


def tone(seconds: float = 1.0, *, hertz: float = 220.0, level: float = 0.4, rate_hz: int = RATE_HZ):
    """(n,) float32 of one pitch."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def recording(samples, kind: str = "WAV", subtype: str | None = None, rate_hz: int = RATE_HZ):
    """Bytes of a file that holds (n,) or (n, channels) samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind, subtype=subtype)
    return buffer.getvalue()
