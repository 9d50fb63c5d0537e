"""A value over time as lines, broken where nothing was read."""

from __future__ import annotations

from collections.abc import Sequence

from backend.web.charts.scale import FULL_PCT, Scale


def polylines(
    times_s: Sequence[float],
    values: Sequence[float | None],
    window: Scale,
    height: Scale,
    gap_s: float,
) -> list[str]:
    """Write points in percent of a chart, 0 at the top left.

    Parameters
    ----------
    times_s, values : sequence
        As many of both; times ascend.
    window, height : Scale
        The axes of time and value.
    gap_s : float
        Readings further apart are not joined, and neither are those around an unknown value.

    Returns
    -------
    list of str
        The ``points`` of each unbroken line.

    Examples
    --------
    >>> polylines([0, 1, 9], [0.0, 5.0, 10.0], Scale(0, 10), Scale(0, 10), 3.0)
    ['0.0,100.0 10.0,50.0', '90.0,0.0']
    """
    lines: list[list[str]] = []
    before_s: float | None = None
    for at_s, value in zip(times_s, values, strict=True):
        if value is None:
            before_s = None
            continue
        if before_s is None or at_s - before_s > gap_s:
            lines.append([])
        y_pct = FULL_PCT - height.percent(value)
        lines[-1].append(f"{window.percent(at_s):.1f},{y_pct:.1f}")
        before_s = at_s
    return [" ".join(line) for line in lines]
