"""A thread that writes a worker's readings to Redis, so that whoever reads a device never waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

import psutil
import redis

from backend.jobs.gpu_samples import (
    KEPT_S,
    STREAM_LENGTH,
    Moment,
    SampledDevice,
    mark_fields,
    row_fields,
    rows_of,
)
from backend.units import MB, Clock

WAITING = 120
LEAD_S = 8
SHORTEST_GAP_S = 0.2  # the share of a processor over less is no figure
LEAD_PREFIX = "mk:sample-lead:"

log = logging.getLogger(__name__)
Doing = Callable[[], tuple[str | None, str | None]]


class SampleWriter:
    """Writes readings and the begins of stages; what Redis does not take is lost.

    Several children of a machine without a card all read the same host. One of them leads and
    writes the readings, a busy one before an idle one; all of them tell their stages.

    Parameters
    ----------
    client : redis.Redis
        With a short time limit.
    owner : str
        This process.
    doing : callable
        Returns the current job and stage, None each while idle.
    """

    def __init__(self, client: redis.Redis, owner: str, clock: Clock, doing: Doing) -> None:
        self._client = client
        self._owner = owner
        self._clock = clock
        self._doing = doing
        self._process = psutil.Process()
        self._devices: tuple[SampledDevice, ...] = ()
        self._waiting: deque[tuple[SampledDevice, dict[str, str], bool]] = deque(maxlen=WAITING)
        self._ready = threading.Event()
        self._away = False
        self._offered_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="sample-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, status: Mapping[str, Any]) -> None:
        """Take a reading; returns at once, and the oldest that waits makes room.

        One that comes right after another is left out.

        Parameters
        ----------
        status : mapping
            As ``gpu.telemetry.device_status`` tells it.
        """
        now_s = self._clock.monotonic_s()
        if self._offered_s is not None and now_s - self._offered_s < SHORTEST_GAP_S:
            return
        self._offered_s = now_s
        job, stage = self._doing()
        rss_mb = round(self._process.memory_info().rss / MB, 1)
        rows = rows_of(status, Moment(self._now_s(), rss_mb, job, stage))
        self._devices = tuple(device for device, _ in rows)
        self._waiting.extend((device, row_fields(device, row), True) for device, row in rows)
        self._ready.set()

    def mark(self, job: str, stage: str | None) -> None:
        """Note that a stage begins, or with None that the job has ended; returns at once."""
        at_s = self._now_s()
        for device in self._devices:
            self._waiting.append((device, mark_fields(device, at_s, job, stage), False))
        self._ready.set()

    def write_waiting(self) -> int:
        """Write what waits; returns how many entries Redis took."""
        written = 0
        while self._waiting:
            device, fields, is_reading = self._waiting.popleft()
            try:
                if is_reading and not self._leads(device):
                    continue
                self._write(device, fields)
            except redis.RedisError as error:
                self._log_away(error)
                continue
            self._away = False
            written += 1
        return written

    def _write(self, device: SampledDevice, fields: Mapping[str, str]) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xadd(device.stream, cast("Any", fields), maxlen=STREAM_LENGTH, approximate=True)
            pipe.expire(device.stream, KEPT_S)
            pipe.execute()

    def _leads(self, device: SampledDevice) -> bool:
        """Whether this process writes the readings of a device; the lead runs out by itself."""
        key = f"{LEAD_PREFIX}{device.key}"
        busy = self._doing()[0] is not None
        held = cast("str | None", self._client.get(key))
        is_busy, _, holder = (held or "").partition(" ")
        if held is not None and holder != self._owner and not (busy and is_busy == "idle"):
            return False
        self._client.set(key, f"{'busy' if busy else 'idle'} {self._owner}", ex=LEAD_S)
        return True

    def _log_away(self, error: redis.RedisError) -> None:
        if not self._away:
            log.info("readings are not kept while Redis does not answer (%s)", error)
        self._away = True

    def _run(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            try:
                self.write_waiting()
            except Exception:  # the thread must live
                log.exception("readings could not be written")

    def _now_s(self) -> float:
        return round(self._clock.now().timestamp(), 2)
