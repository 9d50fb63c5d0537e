"""Runs failed items again: a new job each, to which the item then points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.errors import FilesExpired, MeshkilnError, NothingFailed
from backend.jobs.access.job_owners import hand_over, quota_room, stored_input_bytes
from backend.jobs.batches.left_items import left_note
from backend.jobs.batches.records import BatchItem, ItemState
from backend.jobs.batches.store import BatchStore, visible
from backend.jobs.batches.tables import BatchItemRow, BatchRow
from backend.jobs.store import NewJob
from backend.jobs.trace_links import trace_here
from backend.jobs.webhooks.table import webhook_row
from backend.units import new_id

if TYPE_CHECKING:
    from backend.jobs.service import JobService


@dataclass(frozen=True)
class _Retry:
    """A failed item with the job that is to take the place of its old one."""

    item: BatchItem
    job: NewJob


class BatchRetries:
    """Tries failed items again.

    Parameters
    ----------
    jobs : JobService
        Prepares, stores and announces jobs.
    batches : BatchStore
        Looks items up.
    """

    def __init__(self, jobs: JobService, batches: BatchStore) -> None:
        self._jobs = jobs
        self._batches = batches

    def retry_failed(self, batch_id: str) -> list[str]:
        """Store and announce the new jobs; returns notes for the user.

        Raises
        ------
        NotFound, NothingFailed, FilesExpired, QueueFull, QuotaExceeded, StorageFull
        """
        self._batches.get(batch_id)
        failed = [i for i in self._batches.items(batch_id) if i.status is ItemState.FAILED]
        if not failed:
            raise NothingFailed
        ready = self._all_prepared(batch_id, failed)
        try:
            stored = self._store(batch_id, ready)
        except MeshkilnError:  # of any other error nobody knows whether the rows were stored
            self._drop(ready, set())
            raise
        self._drop(ready, stored)
        warnings = self._jobs.announce([retry.job for retry in ready if retry.job.id in stored])
        left = len(failed) - len(stored)
        if left:
            warnings.append(left_note(left))
        return warnings

    def _all_prepared(self, batch_id: str, failed: Sequence[BatchItem]) -> list[_Retry]:
        """Prepare a new job for each item whose picture is there; raises FilesExpired."""
        ready: list[_Retry] = []
        try:
            ready.extend(retry for item in failed if (retry := self._prepared(batch_id, item)))
        except BaseException:
            self._drop(ready, set())
            raise
        if not ready:
            raise FilesExpired("The pictures of its failed items were removed.")
        return ready

    def _prepared(self, batch_id: str, item: BatchItem) -> _Retry | None:
        """Prepare the new job of an item and copy its picture; None when that is gone."""
        old = self._jobs.store.get(item.job_id or "")
        job = self._jobs.prepare(
            old.pipeline,
            old.params,
            old.name,
            retry_of=old.id,
            priority=old.priority,
            batch_id=batch_id,
        )
        if not self._jobs.artefacts.copy_inputs(old.id, job.id, old.inputs):
            return None
        size_bytes = stored_input_bytes(self._jobs.store.engine, old.id)
        job = replace(job, inputs=old.inputs, input_bytes=size_bytes, trace=trace_here())
        return _Retry(item, job)

    def _store(self, batch_id: str, ready: Sequence[_Retry]) -> set[str]:
        """Store the jobs in one transaction; returns the identifiers of those that are new."""
        store = self._jobs.store
        with Session(store.writer) as session, session.begin():
            row = visible(session, batch_id, lock=True)
            row.canceled = False
            store.check_room(session)
            room = min(store.room(session), quota_room(session, len(ready)))
            pointed = [retry.job for retry in ready[:room] if _point_to(session, batch_id, retry)]
            store.add(session, *pointed)
            stored = {job.id for job in pointed}
            hand_over(session, stored, row.key_id)
            store.check_paused(session)
            if stored:
                self._tell_again(session, row)
        return stored

    def _tell_again(self, session: Session, row: BatchRow) -> None:
        """Have the batch's next end told like its first."""
        now = self._jobs.clock.now()
        if row.webhook_url:
            session.add(
                webhook_row(new_id(now), row.webhook_url, now, batch_id=row.id, key_id=row.key_id)
            )

    def _drop(self, ready: Sequence[_Retry], stored: set[str]) -> None:
        for retry in ready:
            if retry.job.id not in stored:
                self._jobs.artefacts.remove(retry.job.id)


def _point_to(session: Session, batch_id: str, retry: _Retry) -> bool:
    """Let the item point to its new job; False when somebody else was faster."""
    item = retry.item
    done = session.execute(
        update(BatchItemRow)
        .where(
            BatchItemRow.batch_id == batch_id,
            BatchItemRow.position == item.position,
            BatchItemRow.job_id == item.job_id,
        )
        .values(job_id=retry.job.id)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]
