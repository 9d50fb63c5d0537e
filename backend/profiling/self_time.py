"""Whose time is it? Lengths of overlapping intervals, and every moment given away once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

Interval = tuple[int, int]
Owner = TypeVar("Owner", bound=Hashable)


def clipped(interval: Interval, bounds: Interval) -> Interval:
    """Keep the part of an interval that lies within the bounds, empty if there is none.

    >>> clipped((1, 9), (3, 5)), clipped((1, 2), (3, 5))
    ((3, 5), (3, 3))
    """
    low, high = bounds
    start, end = (min(max(edge, low), high) for edge in interval)
    return start, max(start, end)


def covered_ns(intervals: Iterable[Interval]) -> int:
    """Length of the union of intervals.

    >>> covered_ns([(0, 4), (2, 5), (7, 8)])
    6
    """
    covered, reached = 0, None
    for start, end in sorted(intervals):
        begin = start if reached is None else max(start, reached)
        covered += max(0, end - begin)
        reached = end if reached is None else max(end, reached)
    return covered


def exclusive_ns(
    intervals: Mapping[Owner, Interval], parents: Mapping[Owner, Owner | None]
) -> dict[Owner, float]:
    """Give every moment to the innermost stages that run in it, in equal parts.

    Parameters
    ----------
    intervals : mapping of owner to (start_ns, end_ns)
    parents : mapping of owner to owner or None
        An owner runs inside its parent.

    Returns
    -------
    dict of owner to float
        Nanoseconds; their sum is the length of the union of the intervals. Without overlap of
        siblings this is an owner's length less its children's.

    >>> exclusive_ns({"a": (0, 10), "b": (4, 7)}, {"a": None, "b": "a"})
    {'a': 7.0, 'b': 3.0}
    """
    shares = dict.fromkeys(intervals, 0.0)
    running: set[Owner] = set()
    for (moment, starting, ending), (following, _, _) in pairwise(_changes(intervals)):
        running.difference_update(ending)
        running.update(starting)
        innermost = running - {parents[owner] for owner in running}
        for owner in innermost:
            shares[owner] += (following - moment) / len(innermost)
    return shares


def _changes(
    intervals: Mapping[Owner, Interval],
) -> list[tuple[int, Sequence[Owner], Sequence[Owner]]]:
    """List the moments with the owners that start and end there; empty intervals never run."""
    starting: dict[int, list[Owner]] = {}
    ending: dict[int, list[Owner]] = {}
    for owner, (start, end) in intervals.items():
        if end > start:
            starting.setdefault(start, []).append(owner)
            ending.setdefault(end, []).append(owner)
    moments = sorted(starting.keys() | ending.keys())
    return [(moment, starting.get(moment, ()), ending.get(moment, ())) for moment in moments]
