"""Where the time of a call to a hosted program went: waiting, loading, restoring, computing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from backend.units import Clock


@dataclass(frozen=True)
class CallTimes:
    """Seconds of one call.

    Parameters
    ----------
    wait_s : float
        Until it was this call's turn and the device had room.
    load_s, restore_s : float
        From disk to host memory, and from there to the device; 0 where it was there.
    compute_s : float
        In the program itself.
    """

    wait_s: float = 0.0
    load_s: float = 0.0
    restore_s: float = 0.0
    compute_s: float = 0.0

    def as_facts(self) -> dict[str, float]:
        """Return the seconds by name, rounded to tenths of milliseconds."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Stopwatch:
    """Takes the times of one call.

    Parameters
    ----------
    clock : Clock
        Whose seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._load_s = self._restore_s = self._compute_s = 0.0
        self._ended_s: float | None = None

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Count the block as loading."""
        since_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self._load_s += self._clock.monotonic_s() - since_s

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count the block as computing; what follows it is no part of the call."""
        since_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self._ended_s = self._clock.monotonic_s()
            self._compute_s += self._ended_s - since_s

    def restored(self, elapsed_s: float) -> None:
        """Count a transfer to the device."""
        self._restore_s += elapsed_s

    def times(self) -> CallTimes:
        """Return what was counted; the rest was waiting."""
        ended_s = self._clock.monotonic_s() if self._ended_s is None else self._ended_s
        known_s = self._load_s + self._restore_s + self._compute_s
        wait_s = max(0.0, ended_s - self._started_s - known_s)
        return CallTimes(wait_s, self._load_s, self._restore_s, self._compute_s)
