"""What is told of a sound: its length, how loud it is, and its waveform to draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backend.audio.recording import Samples, loudness

PEAKS = 200
SILENCE_DBFS = -120.0


def sound_facts(samples: Samples, rate_hz: int) -> dict[str, Any]:
    """JSON-ready facts of a sound.

    Parameters
    ----------
    samples : (n,) float32
        Of one channel.
    rate_hz : int
        Samples per second.

    Returns
    -------
    dict
        ``duration_s``, ``rate_hz``, ``peak`` (1 is full scale), ``loudness_dbfs``, ``peaks``.
    """
    level = loudness(samples)
    decibels = 20 * math.log10(level) if level > 0 else SILENCE_DBFS
    return {
        "duration_s": round(len(samples) / rate_hz, 3),
        "rate_hz": rate_hz,
        "peak": round(float(np.abs(samples).max(initial=0.0)), 4),
        "loudness_dbfs": round(max(SILENCE_DBFS, decibels), 1),
        "peaks": peaks(samples),
    }


def peaks(samples: Samples, count: int = PEAKS) -> list[float]:
    """Largest absolute value of each of ``count`` equal slices, 0 to 1, in order.

    >>> peaks(np.array([0.5, -1.0, 0.25, 0.0], dtype=np.float32), 2)
    [1.0, 0.25]
    """
    count = min(count, len(samples))
    if not count:
        return []
    starts = np.arange(count) * len(samples) // count
    highest = np.maximum.reduceat(np.abs(samples), starts)
    return [round(float(value), 3) for value in highest]
