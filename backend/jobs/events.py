"""The events of a job: one Redis stream each, written by workers, read by id.

Events tell what happened; the truth is the row. When Redis is away nothing is lost but the
animation: readers begin with a snapshot of the row.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any, cast

import redis

from backend.jobs.redis_url import connect
from backend.jobs.states import EventType
from backend.units import Clock, SystemClock, iso

STREAM_LENGTH = 1000
KEPT_AFTER_END_S = 24 * 3600
KEPT_S = 7 * 24 * 3600
FROM_START = "0-0"
# Number and entry come together or not at all: whoever is killed between two commands would
# leave a hole in the numbers.
_APPEND = """
local seq = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 'seq', seq, unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return seq
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One event; ``id`` is the stream's, ``seq`` counts from 1 within the job."""

    id: str
    job_id: str
    seq: int
    ts: str
    type: EventType
    data: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The JSON of the contract."""
        return {
            "v": 1,
            "id": self.id,
            "job_id": self.job_id,
            "seq": self.seq,
            "ts": self.ts,
            "type": self.type.value,
            "data": self.data,
        }


def stream_key(job_id: str) -> str:
    """Key of a job's stream."""
    return f"ev:{job_id}"


def cancel_key(job_id: str) -> str:
    """Key that exists while a job is asked to stop."""
    return f"mk:cancel:{job_id}"


class EventLog:
    """Writes and reads streams.

    Parameters
    ----------
    redis_url : str
        ``redis://…`` or ``unix://path``.
    clock : Clock
        Source of time.
    client : redis.Redis, optional
        Another client than the usual one.
    """

    def __init__(
        self, redis_url: str, clock: Clock | None = None, client: redis.Redis | None = None
    ) -> None:
        self.client = client or connect(redis_url)
        self._clock = clock or SystemClock()
        self._warned = False

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def publish(self, job_id: str, kind: EventType, data: dict[str, Any]) -> bool:
        """Append an event; False when Redis does not answer (said once in the log)."""
        key = stream_key(job_id)
        try:
            kept_s = KEPT_AFTER_END_S if kind is EventType.END else KEPT_S
            ts = str(iso(self._clock.now()))
            fields = ("ts", ts, "type", kind.value, "data", json.dumps(data))
            self.client.eval(
                _APPEND, 2, f"{key}:seq", key, str(STREAM_LENGTH), str(kept_s), *fields
            )
        except redis.RedisError as error:
            if not self._warned:
                log.warning("events are not sent: Redis does not answer (%s)", error)
            self._warned = True
            return False
        self._warned = False
        return True

    def read_after(self, job_id: str, last_id: str, count: int = STREAM_LENGTH) -> list[Event]:
        """Events after ``last_id``, oldest first."""
        found = self.client.xrange(stream_key(job_id), min=f"({last_id}", count=count)
        return [decode(job_id, *entry) for entry in cast("list[Any]", found)]

    def last_id(self, job_id: str) -> str:
        """Id of the newest event, or the start when there is none or Redis is away."""
        try:
            newest = cast("list[Any]", self.client.xrevrange(stream_key(job_id), count=1))
        except redis.RedisError:
            return FROM_START
        return str(newest[0][0]) if newest else FROM_START

    def is_trimmed(self, job_id: str, last_id: str) -> bool:
        """Whether events after ``last_id`` may be gone: trimmed, or lost by a Redis that died."""
        if last_id != FROM_START:
            return self.seq_at(job_id, last_id) == 0
        oldest = cast("list[Any]", self.client.xrange(stream_key(job_id), count=1))
        return bool(oldest) and decode(job_id, *oldest[0]).seq > 1

    def seq_at(self, job_id: str, event_id: str) -> int:
        """Return the number of an event, or 0 when it is not there (any more)."""
        entry = self.client.xrange(stream_key(job_id), min=event_id, max=event_id)
        found = cast("list[Any]", entry)
        return decode(job_id, *found[0]).seq if found else 0

    def set_cancel_flag(self, job_id: str) -> None:
        """Tell the worker, faster than its next look at the row."""
        try:
            self.client.set(cancel_key(job_id), "1", ex=KEPT_AFTER_END_S)
        except redis.RedisError:
            log.info("the cancel flag of %s is only in the row", job_id)

    def has_cancel_flag(self, job_id: str) -> bool:
        """Whether the flag is set; False when Redis is away (the row is looked at as well)."""
        try:
            return bool(self.client.exists(cancel_key(job_id)))
        except redis.RedisError:
            return False


def decode(job_id: str, entry_id: str, fields: dict[str, str]) -> Event:
    """Read one stream entry."""
    return Event(
        entry_id,
        job_id,
        int(fields["seq"]),
        fields["ts"],
        EventType(fields["type"]),
        json.loads(fields["data"]),
    )


def is_stream_id(text: str) -> bool:
    """Whether a client's ``last_event_id`` can be one of ours.

    >>> is_stream_id("1732147200000-0"), is_stream_id("x"), is_stream_id("")
    (True, False, False)
    """
    head, _, tail = text.partition("-")
    return len(text) < 48 and head.isdecimal() and tail.isdecimal() and text.isascii()
