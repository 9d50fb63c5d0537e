"""Stores a batch with all its jobs in one transaction: there is all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import IdempotencyKeyReused, QueueFull
from backend.jobs.access.job_owners import quota_room
from backend.jobs.access.viewer import current_key_id, scoped
from backend.jobs.batches.drafts import NewBatch, ReadyItem
from backend.jobs.batches.records import item_problem
from backend.jobs.batches.tables import BatchItemRow, BatchKeyRow, BatchRow
from backend.jobs.store import IDEMPOTENCY_KEPT, JobStore, NewJob
from backend.jobs.webhooks.table import webhook_row
from backend.units import new_id

NO_ROOM = "There was no room for this item; send it again when some jobs have finished."


@dataclass(frozen=True)
class Written:
    """Which batch there is now, and whether this call has stored it."""

    batch_id: str
    is_new: bool


class BatchWriter:
    """Writes new batches.

    Parameters
    ----------
    jobs : JobStore
        The store of their jobs; bounds how many may wait.
    kept : timedelta
        How long an idempotency key is remembered.
    """

    def __init__(self, jobs: JobStore, kept: timedelta = IDEMPOTENCY_KEPT) -> None:
        self._jobs = jobs
        self._kept = kept

    def known(self, new: NewBatch) -> str | None:
        """Find the batch that the idempotency key has made; raises IdempotencyKeyReused."""
        if not new.idempotency_key:
            return None
        with Session(self._jobs.engine) as session, session.begin():
            return self._known(session, new)

    def write(self, batch_id: str, new: NewBatch, items: Sequence[ReadyItem]) -> Written:
        """Store a batch; items whose job finds no room get a problem instead.

        Raises
        ------
        IdempotencyKeyReused
            The key came with another body within 24 hours.
        QueueFull, QuotaExceeded
            Not one job may wait.
        """
        try:
            return self._write(batch_id, new, items)
        except IntegrityError:  # the same key came twice at once, and the other was first
            if not new.idempotency_key:
                raise
            return self._write(batch_id, new, items)

    def _write(self, batch_id: str, new: NewBatch, items: Sequence[ReadyItem]) -> Written:
        with Session(self._jobs.writer) as session, session.begin():
            known = self._known(session, new)
            if known is not None:
                return Written(known, is_new=False)
            self._jobs.check_room(session)
            session.add(self._row(batch_id, new))
            self._remember(session, batch_id, new)
            session.flush()
            self._jobs.add(session, *self._admitted(session, items))
            session.add_all(
                BatchItemRow(
                    batch_id=batch_id,
                    position=position,
                    custom_id=item.custom_id,
                    job_id=item.job and item.job.id,
                    problem=item.problem,
                )
                for position, item in enumerate(items)
            )
            return Written(batch_id, is_new=True)

    def _admitted(self, session: Session, items: Sequence[ReadyItem]) -> list[NewJob]:
        """Return the jobs that may wait; the items of the others get a problem in their place."""
        ready = [item for item in items if item.job]
        room = min(self._jobs.room(session), quota_room(session, len(ready)))
        for item in ready[room:]:
            item.job, item.problem = None, item_problem(QueueFull(NO_ROOM, retry_after_s=30))
        return [item.job for item in ready if item.job]

    def _row(self, batch_id: str, new: NewBatch) -> BatchRow:
        return BatchRow(
            id=batch_id,
            pipeline=new.pipeline,
            name=new.name,
            params=new.params,
            created_at=self._jobs.clock.now(),
            webhook_url=new.webhook_url,
            key_id=current_key_id(),
        )

    def _remember(self, session: Session, batch_id: str, new: NewBatch) -> None:
        """Keep the idempotency key and the wish to be told, and forget old keys."""
        now = self._jobs.clock.now()
        if new.webhook_url:
            session.add(
                webhook_row(
                    new_id(now), new.webhook_url, now, batch_id=batch_id, key_id=current_key_id()
                )
            )
        if not new.idempotency_key:
            return
        old = BatchKeyRow.created_at < now - self._kept
        session.execute(delete(BatchKeyRow).where(old))
        session.add(
            BatchKeyRow(
                key=scoped(new.idempotency_key),
                body_sha256=new.body_sha256 or "",
                batch_id=batch_id,
                created_at=now,
            )
        )

    def _known(self, session: Session, new: NewBatch) -> str | None:
        if not new.idempotency_key:
            return None
        known = session.get(BatchKeyRow, scoped(new.idempotency_key))
        if known is None or known.created_at < self._jobs.clock.now() - self._kept:
            return None
        if known.body_sha256 != (new.body_sha256 or ""):
            raise IdempotencyKeyReused(f"The key belongs to batch {known.batch_id}.")
        return known.batch_id
