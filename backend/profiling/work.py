"""What stages computed and moved: noted while they run, added up afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backend.profiling.recorder import innermost_span
from backend.profiling.spans import PipelineProfile, SpanKind

MIXED = "mixed"
FLOP, MOVED_BYTES, DTYPE, CALLS = "flop", "moved_bytes", "dtype", "calls"

_lock = threading.Lock()


@dataclass(frozen=True)
class StageWork:
    """Work of a stage with all stages inside it.

    Parameters
    ----------
    flop, moved_bytes : float or None
        None if nothing was noted, or part of it was not known.
    dtype : str or None
        What it computes in; None if nothing was noted or it computes in several types.
    """

    flop: float | None = None
    moved_bytes: float | None = None
    dtype: str | None = None


NO_WORK = StageWork()


def note_work(
    flop: float | None, moved_bytes: float | None, dtype: str | None, calls: int = 1
) -> None:
    """Add work to the innermost stage that is open here; without one do nothing.

    Parameters
    ----------
    flop, moved_bytes : float or None
        Of all these calls. None if it is not known; then it is not for the whole stage.
    dtype : str or None
        What its products compute in, ``mixed`` for several types, None without products.
    calls : int
        How often the model was called.
    """
    span = innermost_span()
    if span is None:
        return
    with _lock:
        noted = span.attributes or {}
        # The dict may be one that the caller gives to every run of the stage.
        span.attributes = noted | {
            FLOP: _sum(noted, FLOP, flop),
            MOVED_BYTES: _sum(noted, MOVED_BYTES, moved_bytes),
            DTYPE: _common((noted.get(DTYPE), dtype)),
            CALLS: noted.get(CALLS, 0) + calls,
        }


def stage_work(profile: PipelineProfile) -> dict[str, StageWork]:
    """Add up the noted work of every top-level stage by name; repeats are summed."""
    tops: dict[int, str] = {}
    noted: dict[str, list[dict[str, Any]]] = {}
    for span in profile.spans:
        if span.parent is None and span.kind is SpanKind.QUEUE:
            continue
        top = span.name if span.parent is None else tops.get(span.parent, span.name)
        tops[span.id] = top
        if span.attributes and FLOP in span.attributes:
            noted.setdefault(top, []).append(span.attributes)
    return {name: _added(parts) for name, parts in noted.items()}


def _added(parts: list[dict[str, Any]]) -> StageWork:
    dtype = _common(part.get(DTYPE) for part in parts)
    return StageWork(
        flop=_total(part.get(FLOP) for part in parts),
        moved_bytes=_total(part.get(MOVED_BYTES) for part in parts),
        dtype=None if dtype == MIXED else dtype,
    )


def _sum(noted: dict[str, Any], name: str, more: float | None) -> float | None:
    return _total((noted.get(name, 0), more))


def _total(values: Iterable[float | None]) -> float | None:
    total: float = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _common(dtypes: Iterable[str | None]) -> str | None:
    """Name the one type in which all compute; stages without products have no say."""
    named = {dtype for dtype in dtypes if dtype is not None}
    return MIXED if len(named) > 1 else next(iter(named), None)
