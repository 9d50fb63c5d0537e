"""The events of a job for one listener: a snapshot, what was missed, then live until the end.

Without Redis the row itself is looked at, so that a listener always learns how the job ended.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import redis

from backend.errors import NotFound
from backend.jobs.event_hub import Subscription
from backend.jobs.events import FROM_START, Event, is_stream_id
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.jobs.states import EventType, JobState
from backend.units import iso
from backend.web.live_files import document_now

LOOK_AT_ROW_S = 5.0
REPLAY_S = 0.3


class JobFeed:
    """Events of one job in order; use as a context manager.

    Parameters
    ----------
    service : JobService
        Row, stream and hub.
    job_id : str
        Whose events.
    last_event_id : str or None
        The last one the client has seen; anything else than one of our ids counts as none.
    stopping : threading.Event
        Set when the server shuts down.

    Raises
    ------
    NotFound
        There is no such job.
    """

    def __init__(
        self,
        service: JobService,
        job_id: str,
        last_event_id: str | None,
        stopping: threading.Event,
    ) -> None:
        self._service = service
        self._stopping = stopping
        self._waiting: deque[Event] = deque()
        self._last_seq = 0
        self.job_id = job_id
        self.ended = False
        newest = service.events.last_id(job_id)  # before the row: the row is never older
        job = service.store.get(job_id)
        self._seen = _state_of(job)
        self._position = newest
        self._begin(job, newest, last_event_id)
        self._subscription: Subscription | None = None
        self._looked_s = self._now_s()

    def __enter__(self) -> JobFeed:
        if self._waiting[-1].type is not EventType.END:
            self._subscription = self._service.hub.subscribe(self.job_id, self._position)
        return self

    def __exit__(self, *_: object) -> None:
        if self._subscription:
            self._service.hub.unsubscribe(self._subscription)

    @property
    def interrupted(self) -> bool:
        """Whether the server shuts down."""
        closed = self._subscription is not None and self._subscription.closed
        return self._stopping.is_set() or closed

    def get(self, timeout_s: float) -> Event | None:
        """Return the next event, or None when none came in time or ``interrupted``."""
        if self.ended:
            return None
        if not self._waiting and self._subscription:
            event = self._subscription.get(min(timeout_s, self._patience_s()))
            if event is not None:
                self._tell_gap_before(event)
                self._waiting.append(event)
            elif not self.interrupted:
                self._look_at_row()
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        self._position = event.id
        self.ended = event.type is EventType.END
        return event

    def document(self) -> dict[str, Any] | None:
        """Return the job as stored now, or None when it was deleted."""
        try:
            return document_now(self._service, self._service.store.get(self.job_id))
        except NotFound:
            return None

    def _begin(self, job: JobRecord, newest: str, last_event_id: str | None) -> None:
        resumes = last_event_id is not None and is_stream_id(last_event_id)
        trimmed = resumes and self._is_trimmed(str(last_event_id))
        if resumes and not trimmed:
            self._position = str(last_event_id)
        data = {"job": document_now(self._service, job)}
        self._waiting.append(self._made(EventType.SNAPSHOT, data, self._position))
        if trimmed:
            self._waiting.append(self._made(EventType.GAP, data, newest))
        self._over = job.status.is_terminal
        if self._over and self._position == newest:
            self._waiting.append(self._made(EventType.END, {"status": job.status.value}, newest))

    def _is_trimmed(self, last_event_id: str) -> bool:
        """Whether what follows may be gone; the number of the event is kept."""
        events = self._service.events
        try:
            if last_event_id == FROM_START:
                return events.is_trimmed(self.job_id, last_event_id)
            self._last_seq = events.seq_at(self.job_id, last_event_id)
        except redis.RedisError:
            return False  # nobody knows now; numbers that start anew will tell
        return self._last_seq == 0

    def _patience_s(self) -> float:
        return REPLAY_S if self._over else LOOK_AT_ROW_S

    def _look_at_row(self) -> None:
        """Tell what the stream did not: an end, a place in the queue, a change of the row."""
        if not self._over and self._now_s() - self._looked_s < LOOK_AT_ROW_S:
            return
        self._looked_s = self._now_s()
        try:
            job = self._service.store.get(self.job_id)
        except NotFound:
            self._tell(EventType.END, {"status": JobState.CANCELED.value})
            return
        if self._seen != _state_of(job):
            self._seen = _state_of(job)
            self._tell(EventType.SNAPSHOT, {"job": document_now(self._service, job)})
        if job.status.is_terminal:
            self._tell(EventType.END, {"status": job.status.value})

    def _tell_gap_before(self, event: Event) -> None:
        """Say when the numbers start anew: a Redis that died has lost a part of the stream."""
        last_seq, self._last_seq = self._last_seq, event.seq
        job = self.document() if event.seq <= last_seq else None
        if job is not None:
            self._waiting.append(self._made(EventType.GAP, {"job": job}, event.id))

    def _tell(self, kind: EventType, data: dict[str, Any]) -> None:
        newest = self._service.events.last_id(self.job_id)
        # While Redis is away the place is kept: a client that comes back with the start of the
        # stream would be told everything again.
        self._waiting.append(
            self._made(kind, data, self._position if newest == FROM_START else newest)
        )

    def _made(self, kind: EventType, data: dict[str, Any], event_id: str) -> Event:
        """Make an event of our own; it has no number of the stream's."""
        now = str(iso(self._service.clock.now()))
        return Event(event_id, self.job_id, 0, now, kind, data)

    def _now_s(self) -> float:
        return self._service.clock.monotonic_s()


def _state_of(job: JobRecord) -> tuple[object, ...]:
    return job.version, job.status, job.queue_position
