"""Geometry of the charts in a report; a template draws it as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.profiling.spans import PipelineProfile, Span, SpanKind

WIDTH, LABEL_WIDTH, ROW, TOP = 960.0, 240.0, 22.0, 8.0
BAR_HEIGHT, BAR_GAP, PLOT_HEIGHT = 14.0, 0.2, 200.0
SHOWN_SPANS, SHOWN_RUNS, TICKS = 80, 60, 5
# Told apart with the common colour blindnesses (Okabe and Ito, 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#555555")


@dataclass(frozen=True)
class Bar:
    """A rectangle in pixels, and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str
    label: str = ""
    indent: float = 0.0


@dataclass(frozen=True)
class Tick:
    """A line of the grid: its place in pixels and its value."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """What is drawn, and its description for those who do not see it."""

    title: str
    description: str
    width: float
    height: float
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    legend: Mapping[str, str]


def waterfall(profile: PipelineProfile) -> Chart:
    """Draw the stages of a run from left to right, those inside another one below it."""
    rows = list(_tree(profile))
    shown, total_s = rows[:SHOWN_SPANS], profile.total_duration
    scale = (WIDTH - LABEL_WIDTH) / max(profile.total_ns, 1)
    colours = _colours(span.kind.value for span, _ in shown)
    bars = []
    for place, (span, depth) in enumerate(shown):
        start_ns, end_ns = profile.interval(span)
        seconds = (end_ns - start_ns) / 1e9
        bars.append(
            Bar(
                x=LABEL_WIDTH + (start_ns - profile.start_ns) * scale,
                y=TOP + place * ROW,
                width=max(1.0, (end_ns - start_ns) * scale),
                height=BAR_HEIGHT,
                colour=colours[span.kind.value],
                title=f"{span.name}: {short_s(seconds)}" + _remark(span),
                label=span.name,
                indent=12.0 * depth,
            )
        )
    hidden = len(rows) - len(shown)
    return Chart(
        title=f"Course of {profile.pipeline_id}",
        description=f"{len(shown)} stages within {short_s(total_s)}"
        + (f"; {hidden} more are not drawn." if hidden else "."),
        width=WIDTH,
        height=TOP + ROW * max(1, len(shown)) + ROW,
        bars=bars,
        ticks=_ticks(total_s, lambda share: LABEL_WIDTH + share * (WIDTH - LABEL_WIDTH)),
        legend=colours,
    )


def stacked_runs(pipeline: str, runs: Sequence[Mapping[str, Any]]) -> Chart:
    """Draw one column per run, oldest first, made of its stages.

    Parameters
    ----------
    pipeline : str
        Its name.
    runs : sequence of mapping
        Summaries, newest first.
    """
    shown = list(reversed(runs[:SHOWN_RUNS]))
    highest_s = max((_height_s(run) for run in shown), default=0.0)
    colours = _colours(stage["name"] for run in shown for stage in run.get("stages") or [])
    step = (WIDTH - LABEL_WIDTH / 4) / max(1, len(shown))
    bars: list[Bar] = []
    for place, run in enumerate(shown):
        x = LABEL_WIDTH / 4 + place * step
        bars += _column(run, x, step * (1 - BAR_GAP), highest_s, colours)
    return Chart(
        title=f"Last runs of {pipeline}",
        description=f"{len(shown)} runs, the longest {short_s(highest_s)}.",
        width=WIDTH,
        height=TOP + PLOT_HEIGHT + ROW,
        bars=bars,
        ticks=_ticks(highest_s, lambda share: TOP + (1 - share) * PLOT_HEIGHT),
        legend=colours,
    )


def short_s(seconds: float | None) -> str:
    """Write seconds for people.

    >>> short_s(0.01234), short_s(1.5), short_s(83.0), short_s(None)
    ('12.3 ms', '1.50 s', '83.0 s', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def _tree(profile: PipelineProfile) -> Iterable[tuple[Span, int]]:
    """Walk stages and what is inside them; waiting comes before a run and is left out."""
    inside: dict[int | None, list[Span]] = {}
    for span in profile.spans:
        inside.setdefault(span.parent, []).append(span)
    waiting = [
        (span, 0) for span in reversed(inside.get(None, [])) if span.kind is not SpanKind.QUEUE
    ]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(child, depth + 1) for child in reversed(inside.get(span.id, []))]


def _remark(span: Span) -> str:
    gpu = "" if span.gpu_ns is None else f", {short_s(span.gpu_ns / 1e9)} on the GPU"
    return gpu + ("" if span.error is None else f", ended with {span.error}")


def _height_s(run: Mapping[str, Any]) -> float:
    """Seconds a column stands for: the run, or its stages where they overlap and sum to more."""
    staged_s = sum(stage.get("elapsed_s") or 0.0 for stage in run.get("stages") or [])
    return max(run.get("total_s") or 0.0, staged_s)


def _column(
    run: Mapping[str, Any], x: float, width: float, highest_s: float, colours: Mapping[str, str]
) -> list[Bar]:
    bars, base = [], TOP + PLOT_HEIGHT
    for stage in run.get("stages") or []:
        seconds = stage.get("elapsed_s") or 0.0
        height = PLOT_HEIGHT * seconds / highest_s if highest_s else 0.0
        base -= height
        title = f"{run.get('started_at')}: {stage['name']} {short_s(seconds)}"
        bars.append(Bar(x, base, width, height, colours[stage["name"]], title))
    return bars


def _colours(names: Iterable[str]) -> dict[str, str]:
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(dict.fromkeys(names))}


def _ticks(highest_s: float, place: Callable[[float], float]) -> list[Tick]:
    """Put about five round values on an axis that ends at the highest."""
    if highest_s <= 0:
        return []
    step = _round_step(highest_s / TICKS)
    count = math.floor(highest_s / step + 1e-9)
    return [
        Tick(place(n * step / highest_s), short_s(n * step) if n else "0") for n in range(count + 1)
    ]


def _round_step(rough: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
