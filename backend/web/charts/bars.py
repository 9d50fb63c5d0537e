"""Upright bars, one for each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.web.charts.scale import FULL_PCT, Scale

GAP_SHARE = 0.2


@dataclass(frozen=True)
class Bar:
    """A bar in percent of the chart; ``value`` None is drawn as unknown, not as 0."""

    value: float | None
    x_pct: float
    width_pct: float
    y_pct: float
    height_pct: float


def bars(values: Sequence[float | None]) -> list[Bar]:
    """Place bars side by side; the tallest reaches the top.

    Parameters
    ----------
    values : sequence of float or None
        Not negative; None where nothing is known.

    Returns
    -------
    list of Bar
        One for each value, from left to right.

    Examples
    --------
    >>> [(bar.y_pct, bar.height_pct) for bar in bars([1.0, 4.0])]
    [(75.0, 25.0), (0.0, 100.0)]
    """
    scale = Scale(0.0, max((value for value in values if value is not None), default=0.0))
    slot_pct = FULL_PCT / len(values) if values else FULL_PCT
    placed = []
    for at, value in enumerate(values):
        height_pct = 0.0 if value is None else scale.percent(value)
        x_pct = (at + GAP_SHARE / 2) * slot_pct
        width_pct = slot_pct * (1 - GAP_SHARE)
        placed.append(Bar(value, x_pct, width_pct, FULL_PCT - height_pct, height_pct))
    return placed
