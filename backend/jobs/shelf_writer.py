"""Keeps what the worker says of the models with weights up to date."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import redis

from backend.jobs.model_shelf import write_shelf
from backend.settings import Settings
from backend.units import Clock

LOOK_S = 30.0
GLANCE_S = 1.0

log = logging.getLogger(__name__)


class ShelfWriter:
    """Looks at the models every half minute, and soon after a licence was accepted.

    Parameters
    ----------
    client : redis.Redis
        Where the document goes.
    """

    def __init__(self, client: redis.Redis, settings: Settings, clock: Clock) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._looked_s: float | None = None
        self._stamp_ns: int | None = None

    def start(self) -> None:
        """Begin in a thread of its own, which ends with the process."""
        threading.Thread(target=self._go_on, name="model-shelf", daemon=True).start()

    def look(self) -> bool:
        """Look at the models if it is time, and say what is there; returns whether it was.

        Raises
        ------
        RedisError
        """
        from backend.jobs.model_rows import acceptances_file, shelf_document

        now_s = self._clock.monotonic_s()
        stamp_ns = _stamp_ns(acceptances_file(self._settings))
        is_due = self._looked_s is None or now_s - self._looked_s >= LOOK_S
        if not is_due and stamp_ns == self._stamp_ns:
            return False
        write_shelf(self._client, shelf_document(self._settings, self._clock))
        self._looked_s, self._stamp_ns = now_s, stamp_ns
        return True

    def _go_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(GLANCE_S):
            try:
                self.look()
            except redis.RedisError as error:
                log.debug("the list of models waits for Redis (%s)", error)
            except Exception:  # the thread must live
                log.exception("the models cannot be listed")
                pause.wait(LOOK_S)


def _stamp_ns(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
