"""One call for several jobs, made in a thread of nobody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from backend.batching.arrival import Arrival
from backend.batching.halving import Outcome
from backend.batching.shared_progress import SharedProgress
from backend.engines.engine import AnyEngine
from backend.errors import InternalError, MeshkilnError
from backend.profiling.recorder import current_trace, profile_stage, start_pipeline
from backend.profiling.spans import Span
from backend.progress import StageProgress

BROKEN = "An unexpected error stopped the job."

log = logging.getLogger(__name__)

# Makes a call: the engine, the progress to report to, and what names the tasks when it begins.
MakeCall = Callable[[AnyEngine, StageProgress, Callable[[], Sequence[Any]]], Sequence[Outcome]]


class SharedCall:
    """A call of several jobs, or of one that others may join until it begins.

    Any of the jobs may leave while the others wait for the result. Nothing here takes a lock:
    the meeting does, around all but the call itself.

    Parameters
    ----------
    group : sequence of Arrival
        Those whose call it is, at least one, all at the same place.
    make : callable
        Makes the call.
    begin : callable
        Told when the device is free; settles the group and returns its tasks.
    end : callable
        Told what came of it, an outcome for each of the group, or one error for all of them;
        and what was recorded.

    Attributes
    ----------
    group : list of Arrival
        Those whose call it is now.
    """

    def __init__(
        self,
        group: Sequence[Arrival],
        make: MakeCall,
        begin: Callable[[SharedCall], Sequence[Any]],
        end: Callable[[SharedCall, Sequence[Outcome] | MeshkilnError, Sequence[Span]], None],
    ) -> None:
        self.place = group[0].place
        self.group: list[Arrival] = []
        self._make = make
        self._begin = begin
        self._end = end
        self._first = group[0]
        self._progress = SharedProgress(group[0].listener.progress.stage)
        for arrival in group:
            self.join(arrival)

    def join(self, arrival: Arrival) -> None:
        """Let a job take part."""
        self.group.append(arrival)
        arrival.group = self.group
        self._progress.add(arrival.listener)

    def drop_withdrawn(self) -> None:
        """Leave those out that want the result no more."""
        self.group = [arrival for arrival in self.group if not arrival.listener.has_left]

    def start(self) -> None:
        """Make the call in a thread of its own; raises RuntimeError when there is none."""
        run = self._first.context.copy().run
        threading.Thread(target=run, args=(self._run,), name="shared-call", daemon=True).start()

    def _run(self) -> None:
        came: Sequence[Outcome] | MeshkilnError = InternalError(BROKEN)
        spans: Sequence[Span] = ()
        try:
            came, spans = self._recorded()
        except MeshkilnError as error:
            came = type(error)(error.detail)  # without its frames, which hold the batch
        except BaseException:  # even an exit must be told: the jobs would wait for ever
            log.exception("a shared call of %d jobs broke", len(self.group))
        finally:
            self._end(self, came, spans)

    def _recorded(self) -> tuple[Sequence[Outcome], Sequence[Span]]:
        """Make the call; returns what came of it and what was recorded meanwhile."""
        stage = self._progress.stage
        outer = current_trace()
        trace = start_pipeline(stage, **({"clock_ns": outer.clock_ns} if outer else {}))
        with profile_stage(stage):
            outcomes = self._make(self._first.engine, self._progress, lambda: self._begin(self))
        return outcomes, trace.finish().spans
