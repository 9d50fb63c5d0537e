"""What is removed, and when: results by age and size, uploads sooner, never a waiting job's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import StoreUnavailable
from backend.jobs.access.sweep import forget_expired
from backend.jobs.artefacts import ArtefactStore
from backend.jobs.batches.sweep import forget_empty_batches
from backend.jobs.schema import JobRow
from backend.jobs.stage_results import forget_unused_results
from backend.jobs.states import TERMINAL, JobState
from backend.jobs.store import JobStore
from backend.jobs.webhooks.sweep import forget_old_webhooks
from backend.settings import Settings

ORPHAN_AGE = timedelta(hours=1)
UNLISTED_KEPT = timedelta(hours=6)
_ENDED = [state.value for state in TERMINAL]

log = logging.getLogger(__name__)


class Retention:
    """Removes what has been kept long enough.

    Parameters
    ----------
    settings : Settings
        ``keep_results_days``, ``keep_uploads_days``, ``keep_results_gb``.
    store : JobStore
        Rows.
    artefacts : ArtefactStore
        Files.
    """

    def __init__(self, settings: Settings, store: JobStore, artefacts: ArtefactStore) -> None:
        self._settings = settings
        self._store = store
        self._artefacts = artefacts

    def sweep(self) -> None:
        """Remove everything that is due."""
        now = self._store.clock.now()
        try:
            self._remove_files(now)
        except StoreUnavailable as error:
            log.warning("files stay until the next sweep: %s", error)
        self._store.forget_old_keys()
        forget_empty_batches(self._store.writer)
        forget_expired(self._store.engine, now)
        forget_old_webhooks(self._store.writer, now)
        forget_unused_results(self._settings, now)

    def _remove_files(self, now: datetime) -> None:
        """Files go before their row says so: what fails in between is found again."""
        self._remove_deleted()
        self._expire(JobRow.finished_at < now - timedelta(days=self._settings.keep_results_days))
        self._expire(~JobRow.listed & (JobRow.finished_at < now - UNLISTED_KEPT))
        self._remove_uploads()
        self._expire_above_size()
        self._remove_lost_attempts()
        self._remove_orphans()

    def _remove_deleted(self) -> None:
        """Drop rows and files of jobs their users deleted, once they have ended."""
        for job_id in self._ids(JobRow.deleted):
            self._artefacts.remove(job_id)
            with Session(self._store.writer) as session, session.begin():
                row = session.get(JobRow, job_id, with_for_update=True)
                if row is not None:
                    session.delete(row)

    def _expire(self, due: Any) -> None:
        """Remove all files of jobs; succeeded ones are marked expired and stay listed."""
        has_files = (JobRow.status == JobState.SUCCEEDED.value) | ~JobRow.inputs_removed
        for job_id in self._ids(due & has_files):
            self._artefacts.remove(job_id)
            self._mark(job_id, self._expire_row)

    def _remove_uploads(self) -> None:
        limit = self._store.clock.now() - timedelta(days=self._settings.keep_uploads_days)
        for job_id in self._ids(~JobRow.inputs_removed & (JobRow.finished_at < limit)):
            self._artefacts.remove_inputs(job_id)
            self._mark(job_id, lambda row: setattr(row, "inputs_removed", True))

    def _expire_above_size(self) -> None:
        allowed = self._settings.keep_results_gb * 2**30
        held = self._artefacts.sizes()
        sizes = [(job_id, held.get(job_id, 0)) for job_id in self._ids(True)]
        total = sum(size for _, size in sizes)
        for job_id, size in sizes:  # oldest first
            if total <= allowed:
                return
            if size:
                self._artefacts.remove(job_id)
                self._mark(job_id, self._expire_row)
                total -= size

    def _remove_lost_attempts(self) -> None:
        """Remove what workers that were killed, or came too late, left of their attempts."""
        found = self._artefacts.attempts()  # before the rows, so that no row is older than a file
        query = select(JobRow.id, JobRow.status, JobRow.attempt)
        with self._store.engine.connect() as connection:
            rows = {row.id: row for row in connection.execute(query)} if found else {}
        for job_id, attempt in found:
            row = rows.get(job_id)
            if row is not None and _is_lost(JobState(row.status), row.attempt, attempt):
                log.info("removing attempt %d of job %s, which was lost", attempt, job_id)
                self._artefacts.forget_attempt(job_id, attempt)

    def _remove_orphans(self) -> None:
        """Remove folders that no row knows, once they are older than any upload in progress."""
        now = self._store.clock.now().timestamp()
        with self._store.engine.connect() as connection:
            known = set(connection.scalars(select(JobRow.id)))
        for job_id in list(self._artefacts.job_ids()):
            if job_id in known:
                continue
            changed_at = self._artefacts.changed_at(job_id)
            if changed_at is not None and now - changed_at > ORPHAN_AGE.total_seconds():
                log.info("removing files without a job: %s", job_id)
                self._artefacts.remove(job_id)

    def _ids(self, due: Any) -> list[str]:
        query = select(JobRow.id).where(JobRow.status.in_(_ENDED)).order_by(JobRow.id)
        if due is not True:
            query = query.where(due)
        with self._store.engine.connect() as connection:
            return list(connection.scalars(query))

    def _mark(self, job_id: str, change: Callable[[JobRow], None]) -> None:
        with Session(self._store.writer) as session, session.begin():
            row = session.get(JobRow, job_id, with_for_update=True)
            if row is not None:
                change(row)
                row.version += 1

    @staticmethod
    def _expire_row(row: JobRow) -> None:
        row.inputs_removed = True
        if row.status == JobState.SUCCEEDED:
            row.status = JobState.EXPIRED.value
            row.outputs.clear()


def _is_lost(status: JobState, current: int, attempt: int) -> bool:
    """Whether nobody will ask for the files of an attempt again; ``current`` is the row's."""
    if attempt > current:  # claimed since the row was read
        return False
    holds = status in (JobState.RUNNING, JobState.CANCELING, JobState.SUCCEEDED)
    return not (holds and attempt == current)
