"""Who has to leave the device: the longest idle first, and no more than needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A model on the device that may leave.

    Parameters
    ----------
    leased : bool
        It can only leave after its leases have ended.
    """

    name: str
    size_bytes: int
    last_used_s: float
    leased: bool


def choose_victims(
    candidates: Iterable[Candidate], shortfall_bytes: int, *, everyone: bool = False
) -> list[str] | None:
    """Choose which models leave.

    Parameters
    ----------
    shortfall_bytes : int
        How much has to become free.
    everyone : bool
        One model at a time: all candidates leave.

    Returns
    -------
    list of str or None
        Idle ones before leased ones, oldest use first, the larger of two equals first; models
        that turn out not to be needed stay. None when all together are too small.

    Examples
    --------
    >>> old, new = Candidate("old", 4, 1.0, False), Candidate("new", 9, 2.0, False)
    >>> choose_victims([new, old], 3), choose_victims([new, old], 8), choose_victims([old], 5)
    (['old'], ['new'], None)
    """
    order = sorted(candidates, key=lambda c: (c.leased, c.last_used_s, -c.size_bytes))
    if everyone:
        return [candidate.name for candidate in order]
    chosen: list[Candidate] = []
    freed = 0
    for candidate in order:
        if freed >= shortfall_bytes:
            break
        chosen.append(candidate)
        freed += candidate.size_bytes
    if freed < shortfall_bytes:
        return None
    return [candidate.name for candidate in _without_spare(chosen, freed - shortfall_bytes)]


def _without_spare(chosen: list[Candidate], spare_bytes: int) -> list[Candidate]:
    needed = []
    for candidate in reversed(chosen):  # the one we would rather keep comes first
        if candidate.size_bytes <= spare_bytes:
            spare_bytes -= candidate.size_bytes
        else:
            needed.append(candidate)
    return needed[::-1]
