"""Where the jobs of a batch meet: when none of them can go on alone, one call serves all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from backend.batching.halving import Outcome
from backend.batching.shared_progress import Listener, SharedProgress
from backend.engines.engine import AnyEngine
from backend.errors import InternalError, MeshkilnError
from backend.profiling.recorder import current_trace, profile_stage, start_pipeline
from backend.profiling.spans import Span
from backend.progress import StageProgress

LOOK_S = 0.1
BROKEN = "An unexpected error stopped the job."

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Place:
    """Which call of a pipeline this is; an earlier stage comes first.

    Parameters
    ----------
    stage : int
        Number of the stage within the pipeline.
    call : int
        Number of the call within the stage.
    engine : str
        Name of the engine.
    """

    stage: int
    call: int
    engine: str


@dataclass(eq=False)
class Arrival:
    """A job that has come to a call.

    Attributes
    ----------
    group : sequence of Arrival
        Those whose call it is; empty until everybody is there.
    has_begun : bool
        Whether the shared call computes.
    outcome : Outcome or None
        What came of it.
    spans : sequence of Span
        What was recorded in the shared call.
    """

    place: Place
    engine: AnyEngine
    task: Any
    listener: Listener
    context: Context = field(default_factory=copy_context)
    group: Sequence[Arrival] = ()
    has_begun: bool = False
    outcome: Outcome | None = None
    spans: Sequence[Span] = ()

    @property
    def is_alone(self) -> bool:
        """Whether nobody else came, so that its own thread makes the call."""
        return len(self.group) == 1


# Makes one call: arrivals, the progress to report to, and what to call when it begins.
Call = Callable[[Sequence[Arrival], StageProgress, Callable[[], None]], Sequence[Outcome]]


class Meeting:
    """The jobs of one batch.

    A job is on its way, or waits here, or has left. As soon as none is on its way, those that
    wait at the earliest call are served and go on. A job that fails or is canceled leaves, so
    nobody waits for it; no time limit is needed.

    Parameters
    ----------
    size : int
        Jobs of the batch, all on their way.
    call : callable
        Makes a shared call.
    """

    def __init__(self, size: int, call: Call) -> None:
        self._call = call
        self._changed = threading.Condition()
        self._on_their_way = size
        self._waiting: list[Arrival] = []

    def leave(self) -> None:
        """Count one job out that is on its way."""
        with self._changed:
            self._on_their_way -= 1
            self._serve_if_all_wait()

    def arrive(self, arrival: Arrival) -> None:
        """Note that a job waits for a call."""
        with self._changed:
            self._on_their_way -= 1
            self._waiting.append(arrival)
            self._serve_if_all_wait()

    def withdraw(self, arrival: Arrival) -> None:
        """Note that a job no longer waits; it is on its way out."""
        with self._changed:
            arrival.listener.has_left = True
            if arrival in self._waiting:
                self._waiting.remove(arrival)
                self._on_their_way += 1

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

    def _serve_if_all_wait(self) -> None:
        if self._on_their_way or not self._waiting:
            return
        first = min(arrival.place for arrival in self._waiting)
        group = [arrival for arrival in self._waiting if arrival.place == first]
        self._waiting = [arrival for arrival in self._waiting if arrival.place != first]
        self._on_their_way += len(group)
        for arrival in group:
            arrival.group = group
        if len(group) > 1:
            self._start(group)
        self._changed.notify_all()

    def _start(self, group: Sequence[Arrival]) -> None:
        # A thread of nobody: any of the jobs may leave while the others wait for the result.
        thread = threading.Thread(
            target=group[0].context.run, args=(self._serve, group), name="shared-call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the machine gives no more threads
            log.exception("no thread for a shared call of %d jobs", len(group))
            self._hand_out(group, [Outcome(error=InternalError(BROKEN)) for _ in group], ())

    def _serve(self, group: Sequence[Arrival]) -> None:
        outcomes: Sequence[Outcome] = [Outcome(error=InternalError(BROKEN)) for _ in group]
        spans: Sequence[Span] = ()
        try:
            outcomes, spans = self._recorded(group)
        except MeshkilnError as error:
            outcomes = [Outcome(error=type(error)(error.detail)) for _ in group]
        except BaseException:  # even an exit must be told: the jobs would wait for ever
            log.exception("a shared call of %d jobs broke", len(group))
        finally:
            self._hand_out(group, outcomes, spans)

    def _recorded(self, group: Sequence[Arrival]) -> tuple[Sequence[Outcome], Sequence[Span]]:
        """Make the call; returns what came of it and what was recorded meanwhile."""
        stage = group[0].listener.progress.stage
        progress = SharedProgress(stage, [arrival.listener for arrival in group])
        outer = current_trace()
        trace = start_pipeline(stage, **({"clock_ns": outer.clock_ns} if outer else {}))
        with profile_stage(stage):
            outcomes = self._call(group, progress, lambda: self._begin(group))
        return outcomes, trace.finish().spans

    def _begin(self, group: Sequence[Arrival]) -> None:
        with self._changed:
            for arrival in group:
                arrival.has_begun = True
            self._changed.notify_all()

    def _hand_out(
        self, group: Sequence[Arrival], outcomes: Sequence[Outcome], spans: Sequence[Span]
    ) -> None:
        with self._changed:
            for arrival, outcome in zip(group, outcomes, strict=True):
                arrival.has_begun = True
                arrival.spans, arrival.outcome = spans, outcome
            self._changed.notify_all()
