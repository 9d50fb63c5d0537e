"""Puts right what processes left behind: dead workers, lost bells, stuck cancels, old files."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from backend.jobs.artefacts import ArtefactStore
from backend.jobs.claims import Claims
from backend.jobs.doorbell import Doorbell
from backend.jobs.events import EventLog
from backend.jobs.lost_jobs import release_lost_jobs
from backend.jobs.retention import Retention
from backend.jobs.store import JobStore
from backend.settings import Settings

SWEEP_S = 600.0
KILLED_S = 0.2  # a process that was killed is dead by then, and its jobs can be released
AFTER_DUE_S = 0.05

log = logging.getLogger(__name__)


class Reconciler:
    """A thread that looks every few seconds.

    Parameters
    ----------
    settings : Settings
        How often, how long to keep, how long to wait for a cancel.
    store, claims, artefacts, events, doorbell
        What it looks at and acts through.
    """

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        claims: Claims,
        artefacts: ArtefactStore,
        events: EventLog,
        doorbell: Doorbell,
    ) -> None:
        self._settings = settings
        self._store = store
        self._claims = claims
        self._events = events
        self._doorbell = doorbell
        self._retention = Retention(settings, store, artefacts)
        self._stop = threading.Event()
        self._swept_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def look(self) -> float:
        """Look once: release, kill, ring, sweep.

        Returns
        -------
        float
            Seconds until the next look is due.
        """
        has_killed = self._kill_overdue()
        self.release()
        for queue in self._store.waiting_queues():
            self._doorbell.ring(queue)
        now_s = self._store.clock.monotonic_s()
        if self._swept_s is None or now_s - self._swept_s > SWEEP_S:
            self._swept_s = now_s
            self._retention.sweep()
        return KILLED_S if has_killed else self._pause_s()

    def _kill_overdue(self) -> bool:
        """End the processes that do not stop a canceled job; returns whether there was one."""
        has_killed = False
        for owner in self._claims.overdue_cancels(self._settings.cancel_grace_s):
            if owner.kill():
                log.warning("worker %s did not stop its canceled job and was killed", owner)
                has_killed = True
        return has_killed

    def _pause_s(self) -> float:
        """Return how long nothing is due: a cancel must not wait for the usual look as well."""
        due_s = self._claims.next_overdue_cancel_s(self._settings.cancel_grace_s)
        usual_s = self._settings.reconcile_s
        return usual_s if due_s is None else min(usual_s, max(due_s, 0.0) + AFTER_DUE_S)

    def release(self) -> None:
        """Free the jobs of dead workers and tell their listeners."""
        release_lost_jobs(self._claims, self._events)

    def _run(self) -> None:
        while not self._stop.is_set():
            pause_s = self._settings.reconcile_s
            try:
                pause_s = self.look()
            except (SQLAlchemyError, OSError):
                log.exception("the reconciler will look again")
            self._stop.wait(pause_s)
