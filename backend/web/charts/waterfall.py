"""The stages of one run under each other, each from its start to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.profiling.spans import NS, SpanKind
from backend.units import MB
from backend.web.charts.scale import Scale, Tick

ROW_PX = 36
AXIS_PX = 24
CPU = SpanKind.CPU.value
UNKNOWN = "unknown"  # the document of a run that goes on names no device
MAX_ROWS = 40
MIN_WIDTH_PCT = 0.4
# A wait of minutes before a run of seconds would leave nothing to see of the run.
WAIT_PER_RUN = 0.25


@dataclass(frozen=True)
class WaterfallRow:
    """A stage as it is drawn.

    Parameters
    ----------
    depth : int
        How many stages are around it.
    start_s : float
        Seconds since the run began; negative for what was before.
    elapsed_s : float or None
        None if the stage had not ended when the run did.
    x_pct, width_pct : float
        Of the chart's width.
    y_px : int
        Upper edge of the row.
    is_cut : bool
        It began before the left edge of the chart.
    """

    name: str
    kind: str
    depth: int
    start_s: float
    elapsed_s: float | None
    x_pct: float
    width_pct: float
    y_px: int
    is_cut: bool
    gpu_s: float | None
    peak_mb: float | None
    error: str | None

    @property
    def is_wait(self) -> bool:
        """Whether it is the wait before the run."""
        return self.kind == SpanKind.QUEUE


@dataclass(frozen=True)
class Waterfall:
    """A whole chart; ``left_out`` counts the stages there was no room for."""

    rows: list[WaterfallRow]
    ticks: list[Tick]
    run_x_pct: float
    height_px: int
    left_out: int


def waterfall(profile: Mapping[str, Any]) -> Waterfall:
    """Lay out the stages of a run.

    Parameters
    ----------
    profile : mapping
        Document of a ``PipelineProfile``.

    Returns
    -------
    Waterfall
        At most 40 rows; the innermost and shortest stages are left out first.
    """
    start_ns, end_ns = profile["start_ns"], profile["end_ns"]
    nested = list(_nested(profile["spans"]))
    chosen = _chosen(nested)
    run_s = (end_ns - start_ns) / NS
    earliest_s = min(((span["start_ns"] - start_ns) / NS for span, _ in chosen), default=0.0)
    scale = Scale(max(min(0.0, earliest_s), -WAIT_PER_RUN * run_s), run_s)
    rows = [_row(span, depth, start_ns, scale) for span, depth in chosen]
    if profile.get("device", UNKNOWN) is None:  # what is meant for a GPU worked on the processor
        rows = [replace(row, kind=CPU) if row.kind == SpanKind.GPU else row for row in rows]
    rows = [replace(row, y_px=AXIS_PX + at * ROW_PX) for at, row in enumerate(rows)]
    return Waterfall(
        rows=rows,
        ticks=[tick for tick in scale.ticks() if tick.value >= 0],
        run_x_pct=scale.percent(0.0),
        height_px=AXIS_PX + len(rows) * ROW_PX,
        left_out=len(nested) - len(rows) + int(profile.get("dropped_spans") or 0),
    )


def _nested(spans: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield every stage before the stages inside it, with its depth."""
    known = {span["id"] for span in spans}
    inside: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span["start_ns"], span["id"])):
        parent = span.get("parent")
        inside[parent if parent in known else None].append(span)
    waiting = [(span, 0) for span in reversed(inside[None])]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(child, depth + 1) for child in reversed(inside[span["id"]])]


def _chosen(
    nested: Sequence[tuple[Mapping[str, Any], int]],
) -> list[tuple[Mapping[str, Any], int]]:
    if len(nested) <= MAX_ROWS:
        return list(nested)
    by_weight = sorted(range(len(nested)), key=lambda at: (nested[at][1], -_length_ns(nested[at])))
    return [nested[at] for at in sorted(by_weight[:MAX_ROWS])]


def _length_ns(entry: tuple[Mapping[str, Any], int]) -> int:
    """Length of a stage; one without an end counts as long, for it explains a failure."""
    span = entry[0]
    end_ns = span.get("end_ns")
    return 2**63 if end_ns is None else int(end_ns - span["start_ns"])


def _row(span: Mapping[str, Any], depth: int, origin_ns: int, scale: Scale) -> WaterfallRow:
    start_s = (span["start_ns"] - origin_ns) / NS
    end_ns = span.get("end_ns")
    end_s = scale.high if end_ns is None else (end_ns - origin_ns) / NS
    width_pct = max(MIN_WIDTH_PCT, scale.percent(end_s) - scale.percent(start_s))
    gpu_ns, peak_bytes = span.get("gpu_ns"), span.get("peak_bytes")
    return WaterfallRow(
        name=span["name"],
        kind=span["kind"],
        depth=depth,
        start_s=start_s,
        elapsed_s=None if end_ns is None else (end_ns - span["start_ns"]) / NS,
        x_pct=min(scale.percent(start_s), 100.0 - width_pct),
        width_pct=width_pct,
        y_px=0,
        is_cut=start_s < scale.low,
        gpu_s=None if gpu_ns is None else gpu_ns / NS,
        peak_mb=None if peak_bytes is None else peak_bytes / MB,
        error=span.get("error"),
    )
