"""Calls of one hosted program take turns: few programs bear two at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import GpuBusy
from backend.residency.managed.host import CallWatcher
from backend.units import Clock, SystemClock

LOOK_S = 0.2
NESTED_WAIT_S = 60.0

_held = threading.local()


class CallTurn:
    """One call at a time, and those that it makes itself.

    Who waits here holds no lease, so that nobody who wants the device has to wait for it.
    """

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self._name = name
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def taken(self, watcher: CallWatcher | None, timeout_s: float) -> Iterator[bool]:
        """Own the turn; yields whether this thread owned it already.

        Raises
        ------
        GpuBusy, JobCanceled
        """
        held = getattr(_held, "turns", 0)
        if held:
            # two programs that call each other would wait for one another
            timeout_s = min(timeout_s, NESTED_WAIT_S)
        self._take(watcher, timeout_s)
        _held.turns = held + 1
        try:
            self._depth += 1
            yield self._depth > 1
        finally:
            self._depth -= 1
            _held.turns = held
            self._lock.release()

    def _take(self, watcher: CallWatcher | None, timeout_s: float) -> None:
        deadline_s = self._clock.monotonic_s() + timeout_s
        while True:
            if watcher is not None:
                watcher.check_canceled()
            left_s = deadline_s - self._clock.monotonic_s()
            if self._lock.acquire(timeout=max(0.0, min(LOOK_S, left_s))):
                return
            if left_s <= 0:
                raise GpuBusy(f"{self._name} was at another call for {timeout_s:.0f} s.")
