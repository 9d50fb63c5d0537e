"""One job's place in a batch, and the way its pipeline calls engines."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from backend.batching.arrival import Arrival, Place
from backend.batching.device_turn import WAIT as DEVICE_WAIT
from backend.batching.engine_calls import EngineCalls
from backend.batching.engine_traits import gains_from_batches, needs_device_alone
from backend.batching.halving import Outcome
from backend.batching.meeting import Meeting
from backend.batching.shared_progress import Listener
from backend.batching.shared_spans import add_shared_spans
from backend.engines.engine import AnyEngine, FailedItem
from backend.profiling.recorder import profile_stage
from backend.profiling.span_notes import note
from backend.profiling.spans import SpanKind
from backend.profiling.stage_facts import FACTS, FactName
from backend.progress import StageProgress, heeding
from backend.units import Clock

WAIT = "batch_wait"

_current: ContextVar[BatchMember | None] = ContextVar("batch_member", default=None)


class BatchMember:
    """A job of a batch. Its thread runs the pipeline inside ``present``.

    Parameters
    ----------
    meeting : Meeting
        Of the batch.
    calls : EngineCalls
        Makes calls.
    stages : sequence of str
        Stages of the pipeline in order.
    size_class : str
        Names work that takes like memory.
    clock : Clock
        Measures the waiting.
    is_late : bool
        Whether it came to the batch late, so that nobody waits for it.

    Attributes
    ----------
    batch_size : int
        Most items of a call that made a result of this job.
    """

    def __init__(
        self,
        meeting: Meeting,
        calls: EngineCalls,
        stages: Sequence[str],
        size_class: str,
        clock: Clock,
        *,
        is_late: bool = False,
    ) -> None:
        self.batch_size = 1
        self._meeting = meeting
        self._calls = calls
        self._stages = stages
        self._order = {stage: number for number, stage in enumerate(stages)}
        self._size_class = size_class
        self._clock = clock
        self._is_late = is_late
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._has_left = False
        self._waited_s = 0.0
        self._waits_since_s: float | None = None

    @contextmanager
    def present(self) -> Iterator[None]:
        """Run the pipeline inside the block; after it, nobody waits for this job any more."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self.leave()

    def leave(self) -> None:
        """Leave the batch, if that was not done yet."""
        with self._lock:
            left, self._has_left = self._has_left, True
        if not left:
            self._meeting.leave(is_late=self._is_late)

    @property
    def is_open(self) -> bool:
        """Whether others may join the batch and be in time for its first call."""
        return self._meeting.is_open

    def late(self, count: int) -> list[BatchMember]:
        """Let so many jobs come late to this batch; each must use its member, or leave it."""
        self._meeting.expect_late(count)
        return [
            BatchMember(
                self._meeting,
                self._calls,
                self._stages,
                self._size_class,
                self._clock,
                is_late=True,
            )
            for _ in range(count)
        ]

    @property
    def waited_s(self) -> float:
        """Seconds it has waited for others so far."""
        with self._lock:
            since_s, waited_s = self._waits_since_s, self._waited_s
        return waited_s if since_s is None else waited_s + self._clock.monotonic_s() - since_s

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for others now."""
        return self._waits_since_s is not None

    def run(self, engine: AnyEngine, task: Any, progress: StageProgress) -> Any:
        """Have a task done, together with the others of the batch where that gains time."""
        before_s = self.waited_s
        try:
            return self._result(engine, task, progress)
        finally:
            if self.waited_s > before_s:
                _note_wait(self.waited_s - before_s)

    def _result(self, engine: AnyEngine, task: Any, progress: StageProgress) -> Any:
        if not needs_device_alone(engine):
            return self._alone(self._arrival(engine, task, progress)).unwrap()
        # What such an engine calls in turn belongs to this call, which has the device already.
        token = _current.set(None)
        try:
            outcome = self._in_turn(self._arrival(engine, task, progress))
        finally:
            _current.reset(token)
        return outcome.unwrap()

    def _in_turn(self, arrival: Arrival) -> Outcome:
        if not gains_from_batches(arrival.engine):
            return self._alone(arrival)
        self._meeting.arrive(arrival)
        if not _is_served(arrival):
            self._wait_served(arrival)
        outcome = self._alone(arrival) if arrival.is_alone else self._shared(arrival)
        self.batch_size = max(self.batch_size, outcome.batch_size)
        return outcome

    def _wait_served(self, arrival: Arrival) -> None:
        # A call of its own has been formed already: it waits as if it made it itself.
        name = DEVICE_WAIT if len(arrival.group) == 1 else WAIT
        self._begin_wait()
        try:
            with profile_stage(name, SpanKind.LOCK):
                self._meeting.wait(_is_served, arrival, arrival.listener.progress.check_canceled)
        finally:
            self._end_wait()

    def _shared(self, arrival: Arrival) -> Outcome:
        self._meeting.wait(_is_done, arrival, arrival.listener.progress.check_canceled)
        add_shared_spans(arrival.spans, len(arrival.group))
        if arrival.listener.failure is not None:
            raise arrival.listener.failure
        if arrival.outcome is None:
            raise RuntimeError("a shared call ended without an outcome")
        return arrival.outcome

    def _alone(self, arrival: Arrival) -> Outcome:
        """Make the call in this thread, in the job's own profile."""

        def begin() -> list[Any]:
            self._end_wait()
            return [arrival.task]

        self._begin_wait()
        try:
            (outcome,) = self._calls(
                arrival.engine, begin, arrival.listener.progress, size_class=self._size_class
            )
        finally:
            self._end_wait()
        return outcome

    def _arrival(self, engine: AnyEngine, task: Any, progress: StageProgress) -> Arrival:
        number = self._made[progress.stage]
        self._made[progress.stage] += 1
        place = Place(self._order.get(progress.stage, len(self._order)), number, engine.name)
        return Arrival(place, engine, task, Listener(progress), self._is_late)

    def _begin_wait(self) -> None:
        with self._lock:
            self._waits_since_s = self._clock.monotonic_s()

    def _end_wait(self) -> None:
        with self._lock:
            if self._waits_since_s is not None:
                self._waited_s += self._clock.monotonic_s() - self._waits_since_s
            self._waits_since_s = None


def _note_wait(elapsed_s: float) -> None:
    """Add to the wait on record for the open stage, which may call engines more than once."""

    def add(noted: Mapping[str, Any]) -> dict[str, Any]:
        facts = noted.get(FACTS, {})
        before_s = facts.get(FactName.WAIT.value, {}).get("elapsed_s", 0.0)
        return {FACTS: {**facts, FactName.WAIT.value: {"elapsed_s": before_s + elapsed_s}}}

    note(add)


def _is_served(arrival: Arrival) -> bool:
    return arrival.is_alone or arrival.has_begun


def _is_done(arrival: Arrival) -> bool:
    return arrival.outcome is not None


def run_engine(engine: AnyEngine, task: Any, progress: StageProgress) -> Any:
    """Have an engine do one task; in a batch, together with the same task of the others.

    Raises
    ------
    MeshkilnError
        What the engine raises for this task; failures of other items are not told here.
    """
    member = _current.get()
    if member is not None:
        return member.run(engine, task, progress)
    with heeding(progress):
        (result,) = engine.run([task], progress)
    if isinstance(result, FailedItem):
        raise result.error
    return result
