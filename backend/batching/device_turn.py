"""One engine call at a time on the device; whoever waits does not count it as work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backend.errors import JobCanceled
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind

WAIT = "device_wait"
LOOK_S = 0.1


@dataclass(frozen=True, eq=False)
class Ticket:
    """A place in the order.

    Parameters
    ----------
    check : callable
        Raises JobCanceled when its work is not wanted any more.
    """

    check: Callable[[], object]


class DeviceTurn:
    """The right to compute on the device, given in the order it was asked for.

    Attributes
    ----------
    on_taken : callable
        Called whenever somebody takes the turn; must return at once.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Ticket] = deque()
        self.on_taken: Callable[[], object] = lambda: None

    @property
    def is_taken(self) -> bool:
        """Whether somebody computes on the device now."""
        return bool(self._queue)

    @contextmanager
    def taken(self, check: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold the turn inside the block; waits for it.

        Parameters
        ----------
        check : callable
            Asked ten times a second while it waits; what it raises ends the waiting.
        """
        ticket = Ticket(check)
        with self._changed:
            self._queue.append(ticket)
            is_first = self._queue[0] is ticket
        try:
            if not is_first:
                with profile_stage(WAIT, SpanKind.LOCK):
                    self._wait(ticket)
            self.on_taken()
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def unwanted(self) -> Ticket | None:
        """Return the turn of whoever computes now, if nobody waits for what comes of it."""
        with self._changed:
            holder = self._queue[0] if self._queue else None
        if holder is None:
            return None
        try:
            holder.check()
        except JobCanceled:
            return holder
        except Exception:  # noqa: BLE001  a database that is away tells nothing
            return None
        return None

    def _wait(self, ticket: Ticket) -> None:
        while True:
            ticket.check()
            with self._changed:
                if self._queue[0] is ticket or (
                    self._changed.wait(LOOK_S) and self._queue[0] is ticket
                ):
                    return
