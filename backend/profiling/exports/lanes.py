"""Spans laid out so that on every line one either holds another or stands apart from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.profiling.spans import PipelineProfile, Span, SpanKind

QUEUE_LANE = "queue"


@dataclass(frozen=True)
class PlacedSpan:
    """A span and the line it is drawn on.

    Parameters
    ----------
    span : Span
    lane : int
        Number of the line within the run, from 1.
    start_ns, end_ns : int
        From the start of the run; negative for what went before it.
    """

    span: Span
    lane: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Layout:
    """All spans of a run on lines, in order of their start, and the name of every line."""

    spans: list[PlacedSpan]
    names: dict[int, str]


class _Lane:
    """The spans that are open on a line while it is filled from left to right."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._ends: list[int] = []

    def takes(self, start_ns: int, end_ns: int) -> bool:
        """Put a span here unless it would cut through one that is open."""
        while self._ends and self._ends[-1] <= start_ns:
            self._ends.pop()
        if self._ends and self._ends[-1] < end_ns:
            return False
        self._ends.append(end_ns)
        return True


def lay_out(profile: PipelineProfile) -> Layout:
    """Give every thread of a run a line, and more where its spans overlap.

    Tasks of one event loop share a thread and overlap; a viewer that expects a thread to nest
    would draw them wrong, so what does not nest moves to a line of its own.
    """
    names: dict[int, str] = {}
    lanes: dict[object, list[_Lane]] = {}
    threads: dict[int, int] = {}
    chosen: dict[int, _Lane] = {}
    placed: list[PlacedSpan] = []
    for start_ns, end_ns, span in _in_order(profile):
        owner: object = span.thread
        if span.kind is SpanKind.QUEUE:
            owner, name = QUEUE_LANE, QUEUE_LANE
        else:
            name = f"thread {threads.setdefault(span.thread, len(threads) + 1)}"
        own = lanes.setdefault(owner, [])
        lane = next(
            (one for one in _preferred(span, own, chosen) if one.takes(start_ns, end_ns)), None
        )
        if lane is None:
            lane = _Lane(len(names) + 1)
            lane.takes(start_ns, end_ns)
            own.append(lane)
            names[lane.number] = name if len(own) == 1 else f"{name} ({len(own)})"
        chosen[span.id] = lane
        placed.append(PlacedSpan(span, lane.number, start_ns, end_ns))
    return Layout(placed, names)


def _preferred(span: Span, own: list[_Lane], chosen: dict[int, _Lane]) -> Iterable[_Lane]:
    """The parent's line first, if it belongs to the same thread."""
    parent = chosen.get(span.parent) if span.parent is not None else None
    return [parent, *(lane for lane in own if lane is not parent)] if parent in own else own


def _in_order(profile: PipelineProfile) -> list[tuple[int, int, Span]]:
    """Every span with start and end from the run's start; what holds another comes first."""
    found = []
    for span in profile.spans:
        start_ns, end_ns = _interval(profile, span)
        found.append((start_ns - profile.start_ns, end_ns - profile.start_ns, span))
    return sorted(found, key=lambda entry: (entry[0], -entry[1], entry[2].id))


def _interval(profile: PipelineProfile, span: Span) -> tuple[int, int]:
    """The wait in the queue lies before the run and is not cut off at its start."""
    if span.kind is SpanKind.QUEUE and span.end_ns is not None:
        return span.start_ns, max(span.start_ns, span.end_ns)
    return profile.interval(span)
