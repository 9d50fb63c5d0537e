"""What stages computed and moved: noted while they run, added up afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.profiling.span_notes import note

MIXED = "mixed"
FLOP, MOVED_BYTES, DTYPE, CALLS = "flop", "moved_bytes", "dtype", "calls"


@dataclass(frozen=True)
class StageWork:
    """Work of a stage with all stages inside it.

    Parameters
    ----------
    flop, moved_bytes : float or None
        None if nothing was noted, or part of it was not known.
    dtype : str or None
        What it computes in; None if nothing was noted or it computes in several types.
    calls : int or None
        How often a counted model was called; None if nothing was noted.
    """

    flop: float | None = None
    moved_bytes: float | None = None
    dtype: str | None = None
    calls: int | None = None


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
    note(
        lambda noted: {
            FLOP: _sum(noted, FLOP, flop),
            MOVED_BYTES: _sum(noted, MOVED_BYTES, moved_bytes),
            DTYPE: _common((noted.get(DTYPE), dtype)),
            CALLS: noted.get(CALLS, 0) + calls,
        }
    )


def added_work(notes: Sequence[Mapping[str, Any]]) -> StageWork:
    """Add up what ``note_work`` put into the attributes of spans; others of them do not count."""
    parts = [noted for noted in notes if FLOP in noted]
    if not parts:
        return NO_WORK
    dtype = _common(part.get(DTYPE) for part in parts)
    return StageWork(
        flop=_total(part.get(FLOP) for part in parts),
        moved_bytes=_total(part.get(MOVED_BYTES) for part in parts),
        dtype=None if dtype == MIXED else dtype,
        calls=sum(part.get(CALLS) or 0 for part in parts),
    )


def _sum(noted: Mapping[str, Any], name: str, more: float | None) -> float | None:
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
