"""A roofline: what stages reach on a device, under the lines that no stage can cross."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.web.charts.scale import FULL_PCT, Scale, Tick

PLOT_PX, AXIS_PX, TOP_PX = 240, 26, 22
LEFT_PCT, RIGHT_PCT = 13.0, 98.0
ROOM = 3.0


@dataclass(frozen=True)
class Reached:
    """What a stage does: operations per byte, and operations a second."""

    name: str
    intensity: float
    flop_per_s: float
    dtype: str | None


@dataclass(frozen=True)
class Line:
    """A part of a roof; the label tells what sets it."""

    label: str
    rate: float
    x1_pct: float
    y1_px: float
    x2_pct: float
    y2_px: float


@dataclass(frozen=True)
class Point:
    """A stage on the chart, numbered from 1 as in the table beside it."""

    number: int
    name: str
    x_pct: float
    y_px: float


@dataclass(frozen=True)
class Roofline:
    """Both axes are logarithmic: operations per byte to the right, operations a second upwards.

    Parameters
    ----------
    x_ticks, y_ticks : list of Tick
        Their values in operations per byte and operations a second; ``at_pct`` of the width,
        and of the plot's height from below.
    roofs : list of Line
        One for each type that the points compute in; rates in operations a second.
    slope : Line or None
        The memory; its rate in bytes a second. None if it is not known.
    height_px : int
        With the axis.
    """

    points: list[Point]
    roofs: list[Line]
    slope: Line | None
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    height_px: int


def roofline(
    reached: Sequence[Reached], flop_per_s: Mapping[str, float], bytes_per_s: float | None
) -> Roofline | None:
    """Draw stages under the roofs of their device.

    Parameters
    ----------
    reached : sequence of Reached
        All figures above 0.
    flop_per_s : mapping
        Peak by what is computed in.
    bytes_per_s : float or None
        Peak of the memory.

    Returns
    -------
    Roofline or None
        None without stages, or when no peak of what they compute in is known.

    Source
    ------
    S. Williams, A. Waterman and D. Patterson, Roofline (2009).
    """
    dtypes = dict.fromkeys(stage.dtype for stage in reached if stage.dtype in flop_per_s)
    peaks = {dtype: flop_per_s[dtype] for dtype in dtypes if dtype is not None}
    if not peaks:
        return None
    ridges = [peak / bytes_per_s for peak in peaks.values()] if bytes_per_s else []
    x = _decades([*(stage.intensity for stage in reached), *ridges])
    y = _decades([*(stage.flop_per_s for stage in reached), *peaks.values()])
    return Roofline(
        points=[
            Point(n, s.name, _x_pct(x, s.intensity), _y_px(y, s.flop_per_s))
            for n, s in enumerate(reached, start=1)
        ],
        roofs=[_roof(dtype, peak, bytes_per_s, x, y) for dtype, peak in peaks.items()],
        slope=_slope(max(peaks.values()), bytes_per_s, x, y) if bytes_per_s else None,
        x_ticks=[Tick(tick.value, _x_pct(x, tick.value)) for tick in _powers(x)],
        y_ticks=_powers(y),
        height_px=TOP_PX + PLOT_PX + AXIS_PX,
    )


def y_px(tick: Tick) -> float:
    """Tell how far below the chart's top a mark of the upward axis lies.

    >>> y_px(Tick(1e12, 100.0)), y_px(Tick(1e9, 0.0))
    (22.0, 262.0)
    """
    return TOP_PX + PLOT_PX * (1 - tick.at_pct / FULL_PCT)


def _decades(values: Sequence[float]) -> Scale:
    """Span the values with room at both ends; in powers of ten, whole ones at the low end."""
    low = math.floor(math.log10(min(values) / ROOM))
    return Scale(low, math.log10(max(values) * ROOM))


def _powers(scale: Scale) -> list[Tick]:
    found = range(math.ceil(scale.low), math.floor(scale.high) + 1)
    return [Tick(10.0**power, scale.percent(power)) for power in found]


def _x_pct(scale: Scale, value: float) -> float:
    share = scale.percent(math.log10(value)) / FULL_PCT
    return LEFT_PCT + share * (RIGHT_PCT - LEFT_PCT)


def _y_px(scale: Scale, value: float) -> float:
    return y_px(Tick(value, scale.percent(math.log10(value))))


def _roof(dtype: str, peak: float, bytes_per_s: float | None, x: Scale, y: Scale) -> Line:
    start_pct = _x_pct(x, peak / bytes_per_s) if bytes_per_s else LEFT_PCT
    at_px = _y_px(y, peak)
    return Line(dtype, peak, start_pct, at_px, RIGHT_PCT, at_px)


def _slope(highest: float, bytes_per_s: float, x: Scale, y: Scale) -> Line:
    """Draw the memory's line from where it enters the plot to the highest roof."""
    enters = max(x.low, y.low - math.log10(bytes_per_s))
    start = 10.0**enters
    return Line(
        "memory",
        bytes_per_s,
        _x_pct(x, start),
        _y_px(y, start * bytes_per_s),
        _x_pct(x, highest / bytes_per_s),
        _y_px(y, highest),
    )
