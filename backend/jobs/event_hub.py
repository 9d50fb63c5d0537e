"""Fans the events of all watched jobs out to many subscribers with one reader thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any, cast

import redis

from backend.jobs.events import FROM_START, Event, EventLog, decode, stream_key
from backend.jobs.redis_url import connect
from backend.jobs.states import EventType

BLOCK_MS = 100
RECONNECT_PAUSE_S = 0.5
WAITING_PROGRESS = 64

log = logging.getLogger(__name__)


class Subscription:
    """The events of one job for one listener: state events in full, progress coalesced.

    Use as a context manager; it ends the subscription.
    """

    def __init__(self, hub: EventHub, job_id: str) -> None:
        self._hub = hub
        self.job_id = job_id
        self._waiting: deque[Event] = deque()
        self._ready = threading.Condition()
        self._closed = False

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.unsubscribe(self)

    def get(self, timeout_s: float) -> Event | None:
        """Wait for the next event; None after ``timeout_s`` seconds or when closed."""
        with self._ready:
            if not self._waiting and not self._closed:
                self._ready.wait(timeout_s)
            return self._waiting.popleft() if self._waiting else None

    @property
    def closed(self) -> bool:
        """Whether the server is shutting down."""
        return self._closed

    def put(self, event: Event) -> None:
        """Hand over an event; a slow listener keeps only the newest progress."""
        with self._ready:
            if event.type is EventType.PROGRESS and len(self._waiting) >= WAITING_PROGRESS:
                self._waiting = deque(e for e in self._waiting if e.type is not EventType.PROGRESS)
            self._waiting.append(event)
            self._ready.notify()

    def close(self) -> None:
        """Wake the listener for the last time."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()


class EventHub:
    """One reader thread for all subscriptions of this process.

    Parameters
    ----------
    events : EventLog
        Where a new subscription reads its backlog.
    redis_url : str
        Address for the reader's own connection.
    """

    def __init__(self, events: EventLog, redis_url: str) -> None:
        self._events = events
        self._client = connect(redis_url, socket_timeout=BLOCK_MS / 1000 + 10)
        self._subscribers: dict[str, list[Subscription]] = {}
        self._positions: dict[str, str] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def subscribe(self, job_id: str, last_id: str = FROM_START) -> Subscription:
        """Listen to a job: first what came after ``last_id``, then live."""
        subscription = Subscription(self, job_id)
        with self._lock:
            self._start()
            backlog = self._backlog(job_id, last_id)
            for event in backlog:
                subscription.put(event)
            newest = backlog[-1].id if backlog else last_id
            self._join(subscription, newest)
        self._wake.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        with self._lock:
            others = self._subscribers.get(subscription.job_id, [])
            if subscription in others:
                others.remove(subscription)
            if not others:
                self._subscribers.pop(subscription.job_id, None)
                self._positions.pop(subscription.job_id, None)

    def close(self) -> None:
        """End the thread and wake every listener."""
        self._stop.set()
        self._wake.set()
        with self._lock:
            for subscription in [s for many in self._subscribers.values() for s in many]:
                subscription.close()
        if self._thread:
            self._thread.join(timeout=5)
        self._client.close()

    def _backlog(self, job_id: str, last_id: str) -> list[Event]:
        try:
            return self._events.read_after(job_id, last_id)
        except redis.RedisError:
            return []

    def _join(self, subscription: Subscription, newest: str) -> None:
        """Add a listener whose backlog ends at ``newest``; catch up those before it."""
        job_id = subscription.job_id
        others = self._subscribers.setdefault(job_id, [])
        position = self._positions.get(job_id)
        if position is None:
            self._positions[job_id] = newest
        elif position != newest:
            # the reader is behind this listener's backlog: bring the others up to it
            for event in self._backlog(job_id, position):
                self._positions[job_id] = event.id
                for other in others:
                    other.put(event)
                if event.id == newest:
                    break
        others.append(subscription)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="event-hub", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                watched = {stream_key(job): last for job, last in self._positions.items()}
            if not watched:
                self._wake.wait(timeout=5)
                self._wake.clear()
                continue
            try:
                found = self._client.xread(cast("Any", watched), block=BLOCK_MS, count=500)
            except redis.RedisError as error:
                log.info("the event reader waits for Redis (%s)", error)
                time.sleep(RECONNECT_PAUSE_S)
                continue
            self._hand_out(cast("Any", found) or [], watched)

    def _hand_out(self, found: Any, watched: dict[str, str]) -> None:
        streams = found.items() if isinstance(found, dict) else found
        with self._lock:
            for key, entries in streams:
                job_id = key.removeprefix("ev:")
                if self._positions.get(job_id) != watched[key]:
                    continue  # a new listener moved on while we were reading
                flat = entries[0] if isinstance(found, dict) else entries
                for entry_id, fields in flat:
                    event = decode(job_id, entry_id, fields)
                    for subscription in self._subscribers.get(job_id, ()):
                        subscription.put(event)
                    self._positions[job_id] = entry_id
