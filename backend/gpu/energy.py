"""Energy of one job, from the card's own counter."""

from __future__ import annotations

from collections.abc import Callable

JOULES_PER_WH = 3600.0


class EnergyMeter:
    """Differences of the counter of all energy since the driver was loaded.

    Parameters
    ----------
    read_j : callable
        Reads the counter in joules; None when the card has none.
    """

    def __init__(self, read_j: Callable[[], float | None]) -> None:
        self._read_j = read_j
        self._started: dict[str, float | None] = {}

    def start(self, job_id: str) -> None:
        """Note where the counter stands."""
        self._started[job_id] = self._read_j()

    def stop(self, job_id: str) -> float | None:
        """Return the joules since ``start``; None when unknown or the counter was reset.

        Jobs that run together share the card: each is told the whole.
        """
        before_j = self._started.pop(job_id, None)
        now_j = self._read_j()
        if before_j is None or now_j is None or now_j < before_j:
            return None
        return now_j - before_j


def watt_hours(joules: float | None) -> float | None:
    """Convert joules.

    >>> watt_hours(7200.0)
    2.0
    """
    return None if joules is None else joules / JOULES_PER_WH
