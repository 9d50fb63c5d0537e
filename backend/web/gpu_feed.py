"""What a device did and does, for one listener: a window of the past, then each new reading."""

from __future__ import annotations

import threading
from typing import Any

import redis

from backend.jobs.events import is_stream_id
from backend.jobs.gpu_samples import WINDOW_S, find_streams, read_streams
from backend.units import Clock

POLL_S = 0.5
LOOK_FOR_STREAMS_S = 5.0
CLOCKS_DIFFER_S = 60.0


class GpuFeed:
    """Readings of all devices in order.

    Parameters
    ----------
    client : redis.Redis
        Where the streams are; while it is away nothing comes.
    last_id : str or None
        Of the last message the listener has seen: what came after it follows, and what came at
        the same millisecond follows once more. Anything else than such an id counts as none.
    stopping : threading.Event
        Set when the server shuts down.
    """

    def __init__(
        self, client: redis.Redis, clock: Clock, last_id: str | None, stopping: threading.Event
    ) -> None:
        self._client = client
        self._clock = clock
        self._stopping = stopping
        self._first = True
        self._since = oldest_id(clock, WINDOW_S)
        if last_id is not None and is_stream_id(last_id) and self._is_recent(last_id):
            self._since, self._first = last_id, False
        self._last_id = self._since
        self._seen: dict[str, str] = {}
        self._streams: list[str] = []
        self._looked_s: float | None = None

    def _is_recent(self, last_id: str) -> bool:
        """Whether an id lies in the window; one of the future is not ours."""
        latest = oldest_id(self._clock, -CLOCKS_DIFFER_S)
        return _order(self._since) < _order(last_id) < _order(latest)

    @property
    def interrupted(self) -> bool:
        """Whether the server shuts down."""
        return self._stopping.is_set()

    def get(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the next message, or None when nothing came in time.

        Returns
        -------
        dict
            ``type`` ("history" for the first, which replaces what the listener has; "rows" for
            what is added), ``last_id``, ``now_s`` (Unix time here) and ``devices``.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        while not self.interrupted:
            message = self._look()
            if message is not None:
                return message
            remaining_s = deadline_s - self._clock.monotonic_s()
            if remaining_s <= 0:
                return None
            self._stopping.wait(min(POLL_S, remaining_s))
        return None

    def _look(self) -> dict[str, Any] | None:
        try:
            devices = self._read()
        except redis.RedisError:
            self._looked_s = None
            devices = []
        if not devices and not self._first:
            return None
        kind, self._first = ("history" if self._first else "rows"), False
        return {
            "type": kind,
            "last_id": self._last_id,
            "now_s": round(self._clock.now().timestamp(), 2),
            "devices": devices,
        }

    def _read(self) -> list[dict[str, Any]]:
        self._find_streams()
        begins = {
            stream: f"({self._seen[stream]}" if stream in self._seen else self._since
            for stream in self._streams
        }
        found = read_streams(self._client, begins) if begins else []
        for history, newest in found:
            self._seen[history.device.stream] = newest
            self._last_id = max(self._last_id, newest, key=_order)
        return [history.to_document() for history, _ in found]

    def _find_streams(self) -> None:
        """A worker may begin at any time; its stream is looked for now and then."""
        now_s = self._clock.monotonic_s()
        if self._looked_s is None or now_s - self._looked_s >= LOOK_FOR_STREAMS_S:
            self._streams = find_streams(self._client)
            self._looked_s = now_s


def read_history(client: redis.Redis, clock: Clock, window_s: float) -> list[dict[str, Any]]:
    """Read what every device did in the last seconds; [] when Redis is away."""
    begin = oldest_id(clock, window_s)
    try:
        streams = find_streams(client)
        found = read_streams(client, dict.fromkeys(streams, begin)) if streams else []
    except redis.RedisError:
        return []
    return [history.to_document() for history, _ in found]


def oldest_id(clock: Clock, window_s: float) -> str:
    """Name the first id of a window; ids of a stream begin with its time in milliseconds."""
    return f"{max(0, int((clock.now().timestamp() - window_s) * 1000))}-0"


def _order(stream_id: str) -> tuple[int, int]:
    head, _, tail = stream_id.partition("-")
    return int(head), int(tail or 0)
