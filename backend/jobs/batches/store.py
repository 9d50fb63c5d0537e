"""Looks batches up; what their jobs do is counted anew each time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.jobs.access.viewer import owned_by_viewer
from backend.jobs.batches.pace import WINDOW, jobs_per_min
from backend.jobs.batches.records import (
    BatchCounts,
    BatchItem,
    BatchRecord,
    BatchState,
    ItemState,
    state_of,
)
from backend.jobs.batches.tables import BatchItemRow, BatchRow
from backend.jobs.page_cursor import read_cursor, write_cursor
from backend.jobs.schema import JobRow
from backend.jobs.states import JobState
from backend.jobs.store import MAX_PAGE, JobStore

_STATUS = case(
    (BatchItemRow.job_id.is_(None), ItemState.REFUSED.value),
    (or_(JobRow.id.is_(None), JobRow.deleted), ItemState.DELETED.value),
    else_=JobRow.status,
).label("item_status")
_COUNTED_AS = {
    ItemState.CANCELING: ItemState.RUNNING,
    ItemState.EXPIRED: ItemState.SUCCEEDED,
}


@dataclass(frozen=True)
class BatchPage:
    """A page of batches, newest first, and the cursor of the next page."""

    items: list[BatchRecord]
    next_cursor: str | None


@dataclass
class _Tally:
    """What the jobs of one batch add up to."""

    counts: dict[str, int]
    running_progress: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class BatchStore:
    """Batches in SQL, as the key of the request may see them.

    Parameters
    ----------
    jobs : JobStore
        The store of their jobs.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._engine = jobs.engine
        self._clock = jobs.clock

    def get(self, batch_id: str) -> BatchRecord:
        """Look up a batch; raises NotFound."""
        with Session(self._engine) as session, session.begin():
            return self._record(session, visible(session, batch_id))

    def page(self, limit: int = 50, cursor: str | None = None) -> BatchPage:
        """List batches, newest first; raises InvalidParameter for a cursor that is not ours."""
        limit = max(1, min(limit, MAX_PAGE))
        query = select(BatchRow).where(owned_by_viewer(BatchRow.key_id))
        if cursor:
            query = query.where(_before(cursor))
        query = query.order_by(BatchRow.created_at.desc(), BatchRow.id.desc()).limit(limit + 1)
        with Session(self._engine) as session, session.begin():
            rows = session.scalars(query).all()
            records = [self._record(session, row) for row in rows[:limit]]
        if len(rows) <= limit:
            return BatchPage(records, None)
        return BatchPage(records, write_cursor(records[-1].created_at, records[-1].id))

    def items(self, batch_id: str, after: int = -1, limit: int | None = None) -> list[BatchItem]:
        """Items in the order they were sent, those after a position.

        The batch must have been looked up before: this asks nobody for permission.
        """
        query = (
            select(BatchItemRow, _STATUS)
            .outerjoin(JobRow, JobRow.id == BatchItemRow.job_id)
            .where(BatchItemRow.batch_id == batch_id, BatchItemRow.position > after)
            .order_by(BatchItemRow.position)
            .limit(limit)
        )
        with Session(self._engine) as session, session.begin():
            return [
                BatchItem(row.position, row.custom_id, ItemState(status), row.job_id, row.problem)
                for row, status in session.execute(query)
            ]

    def _record(self, session: Session, row: BatchRow) -> BatchRecord:
        tally = _tally(session, row.id)
        counts = BatchCounts(**tally.counts)
        state = state_of(counts, paused=row.paused, canceled=row.canceled)
        finished_at = None if counts.active else tally.finished_at or row.created_at
        pace = self._pace(session, row.id, finished_at)
        return BatchRecord(
            id=row.id,
            name=row.name,
            pipeline=row.pipeline,
            params=row.params,
            created_at=row.created_at,
            state=state,
            counts=counts,
            progress=_progress(counts, tally.running_progress),
            started_at=tally.started_at,
            finished_at=finished_at,
            jobs_per_min=pace,
            eta_s=_eta_s(state, counts, pace),
        )

    def _pace(self, session: Session, batch_id: str, finished_at: datetime | None) -> float | None:
        ended_well = [JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED]
        query = (
            select(JobRow.finished_at)
            .join(BatchItemRow, BatchItemRow.job_id == JobRow.id)
            .where(BatchItemRow.batch_id == batch_id, JobRow.status.in_(ended_well))
            .order_by(JobRow.finished_at.desc())
            .limit(WINDOW if finished_at is None else None)
        )
        ended_at = [moment for moment in session.scalars(query) if moment is not None]
        until = finished_at and (ended_at[0] if ended_at else finished_at)
        return jobs_per_min(ended_at, until or self._clock.now())


def visible(session: Session, batch_id: str, *, lock: bool = False) -> BatchRow:
    """Look up a batch of the viewer's, and keep others from changing it; raises NotFound."""
    query = select(BatchRow).where(BatchRow.id == batch_id, owned_by_viewer(BatchRow.key_id))
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("There is no such batch.", advice="Check the address.")
    return row


def _tally(session: Session, batch_id: str) -> _Tally:
    is_running = JobRow.status.in_([JobState.RUNNING, JobState.CANCELING])
    query: Select[Any] = (
        select(
            _STATUS,
            func.count(),
            func.sum(case((is_running, JobRow.progress), else_=0.0)),
            func.min(JobRow.started_at),
            func.max(JobRow.finished_at),
        )
        .select_from(BatchItemRow)
        .outerjoin(JobRow, JobRow.id == BatchItemRow.job_id)
        .where(BatchItemRow.batch_id == batch_id)
        .group_by(_STATUS)
    )
    tally = _Tally({})
    for status, count, progress, started_at, finished_at in session.execute(query):
        name = _COUNTED_AS.get(ItemState(status), ItemState(status)).value
        tally.counts[name] = tally.counts.get(name, 0) + count
        tally.running_progress += progress or 0.0
        tally.started_at = min(filter(None, (tally.started_at, started_at)), default=None)
        tally.finished_at = max(filter(None, (tally.finished_at, finished_at)), default=None)
    return tally


def _progress(counts: BatchCounts, running_progress: float) -> float:
    done = counts.total - counts.active
    return (100.0 * done + running_progress) / counts.total if counts.total else 100.0


def _eta_s(state: BatchState, counts: BatchCounts, pace: float | None) -> float | None:
    """Seconds until the end; nobody knows when a paused batch goes on."""
    if not pace or state not in (BatchState.QUEUED, BatchState.RUNNING):
        return None
    return 60 * counts.active / pace


def _before(cursor: str) -> Any:
    created_at, batch_id = read_cursor(cursor)
    same_moment = and_(BatchRow.created_at == created_at, BatchRow.id < batch_id)
    return or_(BatchRow.created_at < created_at, same_moment)
