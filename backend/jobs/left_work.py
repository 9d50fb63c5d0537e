"""Passes on what dead workers held, beside the supervisor's loop, which must never wait."""

from __future__ import annotations

import logging
import threading

from backend.jobs.lost_jobs import release_lost_jobs
from backend.jobs.service import JobService

log = logging.getLogger(__name__)
STOP_S = 2.0


class LeftWork:
    """A thread that frees the jobs of dead workers each time it is told of a death.

    A locked database can hold it up for many seconds; a process that has died is restarted all
    the same, for that is another thread's work.

    Parameters
    ----------
    service : JobService
        Its claims are freed, its queues rung.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._told = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="left-work", daemon=True)
        self._thread.start()

    def tell(self) -> None:
        """Say that a worker has died; returns at once."""
        self._told.set()

    def close(self) -> None:
        """End the thread, after at most a moment; what it holds is freed by the next start."""
        self._closed = True
        self._told.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while self._told.wait() and not self._closed:
            self._told.clear()
            try:
                self._pass_on()
            except Exception:  # the reconciler does it a little later
                log.exception("left work was not passed on")

    def _pass_on(self) -> None:
        release_lost_jobs(self._service.claims, self._service.looks)
        for queue in self._service.store.waiting_queues():
            self._service.doorbell.ring(queue)
