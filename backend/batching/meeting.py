"""Where the jobs of a batch meet: when none of them can go on alone, one call serves all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from backend.batching.arrival import Arrival, Place
from backend.batching.halving import Outcome
from backend.batching.shared_call import BROKEN, MakeCall, SharedCall
from backend.errors import InternalError, JobCanceled, MeshkilnError
from backend.profiling.spans import Span

LOOK_S = 0.1

log = logging.getLogger(__name__)


class Meeting:
    """The jobs of one batch.

    A job is on its way, or waits here, or has left. As soon as none is on its way, those that
    wait at the earliest call are served and go on. A job that fails or is canceled leaves, so
    nobody waits for it; no time limit is needed.

    Others may come to the batch late. Nobody waits for them: they are served with those on time
    who have still to come to the same call, or join a call that has not begun, or else make
    one of their own at once, which others that are late may join.

    Parameters
    ----------
    size : int
        Jobs of the batch, all on their way.
    make : callable
        Makes a shared call.
    is_open : bool
        Whether others are going to come before the first call begins.
    """

    def __init__(self, size: int, make: MakeCall, *, is_open: bool = False) -> None:
        self._make = make
        self._changed = threading.Condition()
        self._on_their_way = size
        self._late = 0
        self._is_open = is_open
        self._waiting: list[Arrival] = []
        self._passed: Place | None = None  # the last call of those on time
        self._ahead: list[SharedCall] = []  # calls that have not begun

    @property
    def is_open(self) -> bool:
        """Whether who comes late may still be in time for the first call."""
        with self._changed:
            return self._is_open

    def expect_late(self, count: int) -> None:
        """Note that so many jobs come late."""
        with self._changed:
            self._late += count

    def leave(self, *, is_late: bool = False) -> None:
        """Count one job out that does not wait."""
        with self._changed:
            if is_late:
                self._late -= 1
            else:
                self._on_their_way -= 1
            self._serve()

    def arrive(self, arrival: Arrival) -> None:
        """Note that a job waits for a call."""
        with self._changed:
            self._on_their_way -= not arrival.is_late
            self._waiting.append(arrival)
            self._serve()

    def withdraw(self, arrival: Arrival) -> None:
        """Note that a job no longer waits; it is on its way out."""
        with self._changed:
            arrival.listener.has_left = True
            if arrival in self._waiting:
                self._waiting.remove(arrival)
                self._on_their_way += not arrival.is_late

    def wait(
        self, is_over: Callable[[Arrival], bool], arrival: Arrival, check: Callable[[], None]
    ) -> None:
        """Wait until something is true of an arrival.

        Parameters
        ----------
        check : callable
            Asked ten times a second; what it raises ends the waiting, and the job withdraws.
        """
        while True:
            with self._changed:
                if is_over(arrival):
                    return
                self._changed.wait(LOOK_S)
                if is_over(arrival):
                    return
            try:
                check()
            except BaseException:
                self.withdraw(arrival)
                raise

    def _serve(self) -> None:
        on_time = [arrival.place for arrival in self._waiting if not arrival.is_late]
        if on_time and not self._on_their_way:
            self._passed = min(on_time)
            self._form(self._taken(self._passed))
        for place in sorted({arrival.place for arrival in self._waiting if arrival.is_late}):
            if not self._is_to_come(place):
                self._join_or_form(self._taken(place))

    def _is_to_come(self, place: Place) -> bool:
        """Whether somebody on time may still come to a call."""
        return self._on_their_way > 0 and (self._passed is None or place > self._passed)

    def _taken(self, place: Place) -> list[Arrival]:
        """Take those that wait at a call; they are on their way again."""
        group = [arrival for arrival in self._waiting if arrival.place == place]
        self._waiting = [arrival for arrival in self._waiting if arrival.place != place]
        self._on_their_way += sum(not arrival.is_late for arrival in group)
        return group

    def _join_or_form(self, group: Sequence[Arrival]) -> None:
        call = next((call for call in self._ahead if call.place == group[0].place), None)
        if call is None:
            self._form(group)
            return
        for arrival in group:
            call.join(arrival)

    def _form(self, group: Sequence[Arrival]) -> None:
        if len(group) == 1 and not self._may_grow(group):
            self._leave_alone(group[0])
            return
        call = SharedCall(group, self._make, self._begin, self._end)
        try:
            call.start()
        except RuntimeError:  # the machine gives no more threads
            log.exception("no thread for a shared call of %d jobs", len(group))
            if len(group) == 1:
                self._leave_alone(group[0])
            else:
                self._hand_out(group, InternalError(BROKEN), ())
        else:
            self._ahead.append(call)

    def _may_grow(self, group: Sequence[Arrival]) -> bool:
        return self._is_open or self._late > sum(arrival.is_late for arrival in group)

    def _leave_alone(self, arrival: Arrival) -> None:
        """Let a job make the call in its own thread."""
        self._is_open = False
        arrival.group, arrival.is_alone = [arrival], True
        self._changed.notify_all()

    def _begin(self, call: SharedCall) -> list[Any]:
        """Settle whose call it is, now that the device is free; returns their tasks."""
        with self._changed:
            call.drop_withdrawn()
            if not call.group:
                raise JobCanceled
            self._ahead.remove(call)
            self._is_open = False
            for arrival in call.group:
                arrival.group, arrival.has_begun = call.group, True
            self._changed.notify_all()
            return [arrival.task for arrival in call.group]

    def _end(
        self,
        call: SharedCall,
        came: Sequence[Outcome] | MeshkilnError,
        spans: Sequence[Span],
    ) -> None:
        with self._changed:
            has_begun = call not in self._ahead
            if not has_begun:
                self._ahead.remove(call)
                call.drop_withdrawn()
            if has_begun or not isinstance(came, JobCanceled):
                self._hand_out(call.group, came, spans)
            elif call.group:  # who joined when all others had withdrawn
                self._form(call.group)

    def _hand_out(
        self,
        group: Sequence[Arrival],
        came: Sequence[Outcome] | MeshkilnError,
        spans: Sequence[Span],
    ) -> None:
        if isinstance(came, MeshkilnError):  # each raises an error of its own
            came = [Outcome(error=type(came)(came.detail)) for _ in group]
        for arrival, outcome in zip(group, came, strict=True):
            arrival.has_begun = True
            arrival.spans, arrival.outcome = spans, outcome
        self._changed.notify_all()
