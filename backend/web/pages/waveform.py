"""Waveforms as paths of SVG, drawn by the server so that they show without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

HEIGHT = 100
BARS, BARS_OF_A_TILE = 200, 56
LOWEST = 1.0


def waveform(facts: Any, bars: int = BARS) -> dict[str, Any] | None:
    """Draw a sound from its facts; None where they tell no peaks.

    Parameters
    ----------
    facts : dict
        With ``peaks``: largest values, 0 to 1, of equal slices of the sound.
    bars : int
        Most bars to draw.

    Returns
    -------
    dict
        ``path`` and ``width``, in a view that is ``HEIGHT`` high.
    """
    peaks = facts.get("peaks") if isinstance(facts, dict) else None
    if not peaks:
        return None
    shown = thinned(peaks, bars)
    return {"path": waveform_path(shown), "width": len(shown)}


def thinned(peaks: Sequence[float], bars: int) -> list[float]:
    """Join neighbours until there are no more than ``bars``; the higher one counts.

    >>> thinned([0.1, 0.5, 0.2, 0.3], 2)
    [0.5, 0.3]
    """
    count = min(bars, len(peaks))
    edges = [len(peaks) * bar // count for bar in range(count + 1)]
    return [max(peaks[low:high]) for low, high in pairwise(edges)]


def waveform_path(peaks: Sequence[float]) -> str:
    """Write an upright line for each peak, one unit apart, around the middle; the highest fills it.

    >>> waveform_path([0.5, 0.25])
    'M0.5 0.0V100.0M1.5 25.0V75.0'
    """
    middle = HEIGHT / 2
    scale = middle / (max(peaks) or 1.0)
    halves = [max(LOWEST, float(peak) * scale) for peak in peaks]
    return "".join(
        f"M{at + 0.5} {middle - half:.1f}V{middle + half:.1f}" for at, half in enumerate(halves)
    )
