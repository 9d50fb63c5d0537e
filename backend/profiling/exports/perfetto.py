"""Runs as a trace that Perfetto and chrome://tracing open.

Source
------
The "Trace Event Format" of Chrome's trace viewer: ``X`` complete, ``C`` counter, ``s`` and ``f``
flow, ``M`` metadata; times in microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backend.profiling.exports.lanes import Layout, PlacedSpan, lay_out
from backend.profiling.spans import PipelineProfile, SpanKind
from backend.units import MB, iso

Event = dict[str, Any]
US = timedelta(microseconds=1)
MACHINE_PID, RUN_TID, COUNTER_TID = 0, 0, 0


@dataclass(frozen=True)
class TracedRun:
    """A run to be shown.

    Parameters
    ----------
    profile : PipelineProfile
    title : str
        Name of its block of lines, such as the job.
    queue_s : float or None
        Wait before the run; used where the profile has no span for it.
    facts : mapping
        JSON-ready, shown with the run.
    """

    profile: PipelineProfile
    title: str
    queue_s: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CounterTrack:
    """A value over time, such as the power drawn.

    Parameters
    ----------
    name, unit : str
        Such as ``power`` and ``W``.
    points : sequence of (datetime, float or None)
        Readings; one that failed is None and is left out.
    """

    name: str
    unit: str
    points: Sequence[tuple[datetime, float | None]]


def trace_document(runs: Sequence[TracedRun], counters: Sequence[CounterTrack] = ()) -> Event:
    """Write runs and counters as one trace.

    Parameters
    ----------
    runs : sequence of TracedRun
        Each becomes a process of the trace, with a line for every thread.
    counters : sequence of CounterTrack
        Drawn above them, on the same clock.

    Returns
    -------
    dict
        JSON-ready; ``traceEvents`` has metadata first, then everything by time, which counts
        from ``otherData.origin``.
    """
    origin = _origin(runs, counters)
    metadata, events = [_name(MACHINE_PID, None, "machine")], list(_counters(counters, origin))
    for pid, run in enumerate(runs, start=1):
        layout = lay_out(run.profile)
        offset_us = _us_between(origin, run.profile.started_at)
        metadata += _names(pid, run, layout)
        events += _run_events(pid, run, layout, offset_us)
    return {
        "traceEvents": metadata + sorted(events, key=_by_time),
        "displayTimeUnit": "ms",
        "otherData": {"origin": iso(origin), "producer": "Meshkiln"},
    }


def waiting_track(runs: Iterable[TracedRun]) -> CounterTrack:
    """Count how many of these runs were waiting at every moment."""
    steps: list[tuple[datetime, int]] = []
    for run in runs:
        if run.queue_s:
            started = run.profile.started_at
            steps += [(started - timedelta(seconds=run.queue_s), 1), (started, -1)]
    points: list[tuple[datetime, float | None]] = []
    depth = 0
    for moment, change in sorted(steps):
        depth += change
        points.append((moment, depth))
    return CounterTrack("waiting runs", "runs", points)


def _origin(runs: Sequence[TracedRun], counters: Sequence[CounterTrack]) -> datetime | None:
    moments = [moment for track in counters for moment, _ in track.points]
    moments += [run.profile.started_at + timedelta(microseconds=_first_us(run)) for run in runs]
    return min(moments, default=None)


def _first_us(run: TracedRun) -> int:
    """Whole microseconds from the start of the run to the first thing shown of it; at most 0."""
    profile = run.profile
    starts_ns = [s.start_ns - profile.start_ns for s in profile.spans if s.kind is SpanKind.QUEUE]
    before_us = [start_ns / 1000 for start_ns in starts_ns] or [-1e6 * (run.queue_s or 0.0)]
    return min(0, math.floor(min(before_us)))


def _us_between(origin: datetime | None, moment: datetime) -> float:
    return 0.0 if origin is None else (moment - origin) / US


def _names(pid: int, run: TracedRun, layout: Layout) -> list[Event]:
    lines = [(RUN_TID, "run"), *layout.names.items()]
    if not _queue_spans(layout) and run.queue_s:
        lines.append((_wait_tid(layout), "queue"))
    return [_name(pid, None, run.title), *(_name(pid, tid, name) for tid, name in lines)]


def _name(pid: int, tid: int | None, name: str) -> Event:
    kind = "process_name" if tid is None else "thread_name"
    return {"name": kind, "ph": "M", "ts": 0, "pid": pid, "tid": tid or 0, "args": {"name": name}}


def _run_events(pid: int, run: TracedRun, layout: Layout, offset_us: float) -> list[Event]:
    profile = run.profile
    facts = {"status": profile.status.value, "device": profile.device, **run.facts}
    whole = _complete(
        pid, RUN_TID, profile.pipeline_id, "run", offset_us, profile.total_ns / 1000, facts
    )
    waits = [_span_event(pid, placed, offset_us) for placed in _queue_spans(layout)]
    if not waits and run.queue_s:
        wait_us = 1e6 * run.queue_s
        start_us = offset_us - wait_us
        waits = [_complete(pid, _wait_tid(layout), "queue", "queue", start_us, wait_us, {})]
    stages = [
        _span_event(pid, placed, offset_us)
        for placed in layout.spans
        if placed.span.kind is not SpanKind.QUEUE
    ]
    flows = [flow for number, wait in enumerate(waits) for flow in _flow(wait, whole, number, pid)]
    return [*waits, whole, *stages, *flows, *_handovers(pid, layout, stages, len(waits))]


def _queue_spans(layout: Layout) -> list[PlacedSpan]:
    return [placed for placed in layout.spans if placed.span.kind is SpanKind.QUEUE]


def _wait_tid(layout: Layout) -> int:
    return len(layout.names) + 1


def _span_event(pid: int, placed: PlacedSpan, offset_us: float) -> Event:
    span = placed.span
    facts = {
        **(span.attributes or {}),
        "span": span.id,
        "error": span.error,
        "unfinished": True if span.end_ns is None else None,
        "gpu_ms": None if span.gpu_ns is None else span.gpu_ns / 1e6,
        "peak_mb": None if span.peak_bytes is None else span.peak_bytes / MB,
    }
    start_us = offset_us + placed.start_ns / 1000
    length_us = (placed.end_ns - placed.start_ns) / 1000
    return _complete(pid, placed.lane, span.name, span.kind.value, start_us, length_us, facts)


def _complete(
    pid: int,
    tid: int,
    name: str,
    category: str,
    start_us: float,
    length_us: float,
    facts: Mapping[str, Any],
) -> Event:
    known = {key: value for key, value in facts.items() if value is not None}
    return {
        "name": name, "cat": category, "ph": "X", "ts": _to_ns(start_us), "dur": _to_ns(length_us),
        "pid": pid, "tid": tid, "args": known,
    }  # fmt: skip


def _handovers(pid: int, layout: Layout, stages: list[Event], first: int) -> list[Event]:
    """Arrows from a stage to those it started on other threads."""
    by_id = {event["args"]["span"]: event for event in stages}
    arrows: list[Event] = []
    for placed in layout.spans:
        child = by_id.get(placed.span.id)
        parent = by_id.get(placed.span.parent) if placed.span.parent is not None else None
        if child and parent and child["tid"] != parent["tid"]:
            arrows += _flow(parent, child, first + len(arrows) // 2, pid)
    return arrows


def _flow(source: Event, target: Event, number: int, pid: int) -> list[Event]:
    """Write both ends of an arrow between two spans; none backwards in time."""
    if target["ts"] < source["ts"]:
        return []
    shared = {"name": "starts", "cat": "flow", "id": f"{pid}.{number}"}
    start = {key: source[key] for key in ("ts", "pid", "tid")}
    end = {key: target[key] for key in ("ts", "pid", "tid")}
    return [{**shared, "ph": "s", **start}, {**shared, "ph": "f", "bp": "e", **end}]


def _counters(tracks: Iterable[CounterTrack], origin: datetime | None) -> Iterable[Event]:
    for track in tracks:
        for moment, value in track.points:
            if value is not None:
                yield {
                    "name": f"{track.name} ({track.unit})", "ph": "C", "pid": MACHINE_PID,
                    "tid": COUNTER_TID, "ts": _to_ns(_us_between(origin, moment)),
                    "args": {track.unit: value},
                }  # fmt: skip


def _to_ns(us: float) -> float:
    """Round to a nanosecond, the resolution of the recorder."""
    return round(us, 3)


def _by_time(event: Event) -> tuple[float, float, bool]:
    """Earlier first; of two that start together the longer, and arrows after their spans."""
    return event["ts"], -event.get("dur", 0.0), event["ph"] in ("s", "f")
