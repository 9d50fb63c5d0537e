"""How long auto-tune may take, and what it keeps back for its last check."""

from __future__ import annotations

from backend.units import Clock


class Budget:
    """Time from now on.

    Parameters
    ----------
    limit_s : float
        All of it, in seconds.
    clock : Clock
        Source of time.
    """

    def __init__(self, limit_s: float, clock: Clock) -> None:
        self.limit_s = limit_s
        self.reserved_s = 0.0
        self._clock = clock
        self._started_s = clock.monotonic_s()

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic_s() - self._started_s

    def has_time(self) -> bool:
        """Whether another run may start: what is kept back is not for it."""
        return self.spent_s + self.reserved_s < self.limit_s
