"""The job store: submit, look up, list, cancel. The row is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import IdempotencyKeyReused, JobFinished, NotFound, QueueFull
from backend.jobs.access.job_owners import check_quota, may_see, record_owner
from backend.jobs.access.viewer import current_key_id, job_is_visible, scoped
from backend.jobs.batches.pausing import not_paused
from backend.jobs.history import History
from backend.jobs.page_cursor import read_cursor, write_cursor
from backend.jobs.records import JobRecord, OutputRecord, StageRecord
from backend.jobs.schema import (
    IdempotencyRow,
    JobRow,
    StageRow,
    for_writing,
    open_database,
)
from backend.jobs.states import JobState, Priority, StageState
from backend.jobs.trace_links import trace_row
from backend.jobs.webhooks.table import webhook_row
from backend.profiling.trace_headers import RemoteParent
from backend.units import Clock, SystemClock, new_id

IDEMPOTENCY_KEPT = timedelta(hours=24)
MAX_PAGE = 200


@dataclass(frozen=True)
class NewJob:
    """A job to be stored. The caller has validated the parameters and drawn the seed."""

    id: str
    pipeline: str
    name: str
    params: dict[str, Any]
    queue: str
    inputs: tuple[str, ...]
    stages: tuple[str, ...]
    batch_key: str
    cost_key: str
    input_bytes: int | None = None
    priority: Priority = Priority.NORMAL
    listed: bool = True
    retry_of: str | None = None
    batch_id: str | None = None
    idempotency_key: str | None = None
    body_sha256: str | None = None
    trace: RemoteParent | None = None
    webhook_url: str | None = None


@dataclass(frozen=True)
class JobPage:
    """A page of jobs, newest first, and the cursor of the next page."""

    items: list[JobRecord]
    next_cursor: str | None


@dataclass(frozen=True)
class JobFilter:
    """What to list. ``query`` is looked for in the name."""

    status: JobState | None = None
    pipeline: str | None = None
    batch_id: str | None = None
    query: str | None = None
    listed_only: bool = True
    limit: int = 50
    cursor: str | None = field(default=None)


class JobStore:
    """Jobs in SQL.

    Parameters
    ----------
    url : str
        SQLAlchemy address; the schema is created when missing.
    clock : Clock
        Source of time.
    max_attempts : int
        How often a job is started after its worker died.
    max_queued_jobs : int
        More waiting jobs are refused with QueueFull.
    """

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        max_attempts: int = 3,
        max_queued_jobs: int = 1000,
    ) -> None:
        self.engine = open_database(url)
        self.writer = for_writing(self.engine)
        self.clock = clock or SystemClock()
        self.history = History(self.engine)
        self._max_attempts = max_attempts
        self._max_queued_jobs = max_queued_jobs

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def submit(self, new: NewJob) -> tuple[JobRecord, bool]:
        """Store a job; returns it and whether it is new.

        Raises
        ------
        IdempotencyKeyReused
            The key came with another body within 24 hours.
        QueueFull
            Too many jobs are waiting.
        QuotaExceeded
            The API key of this request may not have another job.
        """
        try:
            return self._submit(new)
        except IntegrityError:  # the same key came twice at once, and the other was first
            return self._submit(new)

    def _submit(self, new: NewJob) -> tuple[JobRecord, bool]:
        with Session(self.writer) as session, session.begin():
            known = self._known_key(session, new)
            if known is not None:
                return to_record(known), False
            self.check_room(session)
            (row,) = self.add(session, new)
            if new.idempotency_key:
                session.add(
                    IdempotencyRow(
                        key=scoped(new.idempotency_key),
                        body_sha256=new.body_sha256 or "",
                        job_id=new.id,
                        created_at=row.created_at,
                    )
                )
            session.flush()
            return to_record(row), True

    def check_room(self, session: Session) -> None:
        """Raise QueueFull or QuotaExceeded when no further job may wait."""
        if self.room(session) < 1:
            raise QueueFull(f"{self._max_queued_jobs} jobs are waiting.", retry_after_s=30)
        check_quota(session)

    def room(self, session: Session) -> int:
        """How many further jobs may wait; the quota of a key may be less.

        Jobs of paused batches take no place: nobody else's would ever get one.
        """
        waiting = session.scalar(select(func.count()).where(_is_waiting(), not_paused())) or 0
        return max(0, self._max_queued_jobs - waiting)

    def check_paused(self, session: Session) -> None:
        """Raise QueueFull when more jobs are held back by paused batches than may wait."""
        held = session.scalar(select(func.count()).where(_is_waiting(), ~not_paused())) or 0
        if held > self._max_queued_jobs:
            raise QueueFull(
                f"Paused batches would hold back {held} jobs; {self._max_queued_jobs} may be.",
                advice="Resume or cancel another paused batch first.",
            )

    def add(self, session: Session, *news: NewJob) -> list[JobRow]:
        """Add everything that belongs to new jobs within somebody's own transaction."""
        rows = [self._row(new) for new in news]
        session.add_all(rows)
        session.flush()
        for new, row in zip(news, rows, strict=True):
            record_owner(session, new.id, new.input_bytes)
            if new.trace:
                session.add(trace_row(new.id, new.trace))
            if new.webhook_url:
                now, key_id, url = row.created_at, current_key_id(), new.webhook_url
                session.add(webhook_row(new_id(now), url, now, job_id=new.id, key_id=key_id))
        return rows

    def get(self, job_id: str) -> JobRecord:
        """Look up a job with its queue position and ETA; raises NotFound."""
        with Session(self.engine) as session, session.begin():
            row = _visible(session, job_id)
            record = to_record(row)
            if record.status is JobState.QUEUED:
                if row.batch_id and not session.scalar(_may_start(row)):
                    return record  # nobody knows when a paused batch goes on
                ahead = session.scalar(select(func.count()).where(_is_ahead(row))) or 0
                record = replace(record, queue_position=ahead + 1)
            return replace(record, eta=self.history.eta(session, row, self.clock.now()))

    def list(self, wanted: JobFilter | None = None) -> JobPage:
        """List jobs, newest first; raises InvalidParameter for a cursor that is not ours."""
        wanted = wanted or JobFilter()
        limit = max(1, min(wanted.limit, MAX_PAGE))
        query = _filtered(select(JobRow), wanted)
        query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit + 1)
        with Session(self.engine) as session, session.begin():
            rows = session.scalars(query).all()
            records = [to_record(row) for row in rows[:limit]]
        if len(rows) <= limit:
            return JobPage(records, None)
        return JobPage(records, write_cursor(records[-1].created_at, records[-1].id))

    def counts(self) -> dict[JobState, int]:
        """How many listed jobs are in each state."""
        query = (
            select(JobRow.status, func.count())
            .where(JobRow.listed, ~JobRow.deleted)
            .group_by(JobRow.status)
        )
        with self.engine.connect() as connection:
            found = {JobState(status): count for status, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def request_cancel(self, job_id: str) -> JobRecord:
        """Cancel a waiting job at once, ask a running one to stop; raises JobFinished."""
        now = self.clock.now()
        with Session(self.writer) as session, session.begin():
            row = _visible(session, job_id, lock=True)
            state = JobState(row.status)
            if state.is_terminal:
                raise JobFinished(f"The job is {state}.")
            if state is JobState.QUEUED:
                row.status, row.finished_at = JobState.CANCELED.value, now
            elif state is JobState.RUNNING:
                row.status, row.cancel_requested_at = JobState.CANCELING.value, now
            row.version += 1
            session.flush()
            return to_record(row)

    def rename(self, job_id: str, name: str) -> JobRecord:
        """Give a job another display name; raises NotFound."""
        with Session(self.writer) as session, session.begin():
            row = _visible(session, job_id, lock=True)
            row.name = name
            row.version += 1
            session.flush()
            return to_record(row)

    def hide(self, job_id: str) -> JobState:
        """Delete a job for its user: a waiting or running one is canceled first.

        The row stays until its files are swept. Returns the state it is in.
        """
        now = self.clock.now()
        with Session(self.writer) as session, session.begin():
            row = _visible(session, job_id, lock=True)
            if row.status == JobState.QUEUED:
                row.status, row.finished_at = JobState.CANCELED.value, now
            elif row.status == JobState.RUNNING:
                row.status, row.cancel_requested_at = JobState.CANCELING.value, now
            row.deleted = True
            row.version += 1
            return JobState(row.status)

    def waiting_queues(self) -> Sequence[str]:
        """Queues that have a waiting job."""
        with self.engine.connect() as connection:
            waiting = select(JobRow.queue).where(_is_waiting(), not_paused()).distinct()
            return list(connection.scalars(waiting))

    def forget_old_keys(self) -> int:
        """Remove idempotency keys older than a day; returns how many."""
        limit = self.clock.now() - IDEMPOTENCY_KEPT
        with self.writer.begin() as connection:
            done = connection.execute(
                delete(IdempotencyRow).where(IdempotencyRow.created_at < limit)
            )
            return done.rowcount

    def _known_key(self, session: Session, new: NewJob) -> JobRow | None:
        if not new.idempotency_key:
            return None
        known = session.get(IdempotencyRow, scoped(new.idempotency_key))
        if known is None:
            return None
        job = session.get(JobRow, known.job_id)
        is_old = known.created_at < self.clock.now() - IDEMPOTENCY_KEPT
        if is_old or job is None or job.deleted:  # what it made is gone: it may be used again
            session.delete(known)
            session.flush()
            return None
        if known.body_sha256 != (new.body_sha256 or ""):
            raise IdempotencyKeyReused(f"The key belongs to job {known.job_id}.")
        return job

    def _row(self, new: NewJob) -> JobRow:
        return JobRow(
            id=new.id,
            pipeline=new.pipeline,
            name=new.name,
            queue=new.queue,
            priority=int(new.priority),
            listed=new.listed,
            params=new.params,
            inputs=list(new.inputs),
            batch_key=new.batch_key,
            cost_key=new.cost_key,
            batch_id=new.batch_id,
            retry_of=new.retry_of,
            max_attempts=self._max_attempts,
            created_at=self.clock.now(),
            stages=[StageRow(position=i, name=name) for i, name in enumerate(new.stages)],
        )


def to_record(row: JobRow) -> JobRecord:
    """Copy a row into a record that outlives its database session."""
    return JobRecord(
        id=row.id,
        pipeline=row.pipeline,
        name=row.name,
        status=JobState(row.status),
        params=row.params,
        created_at=row.created_at,
        priority=Priority(row.priority),
        stages=tuple(
            StageRecord(s.name, StageState(s.status), s.progress, s.step, s.steps, s.elapsed_s)
            for s in row.stages
        ),
        outputs=tuple(
            OutputRecord(o.name, o.format, o.role, o.bytes, o.sha256) for o in row.outputs
        ),
        inputs=() if row.inputs_removed else tuple(row.inputs),
        progress=row.progress,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        batch_id=row.batch_id,
        retry_of=row.retry_of,
        started_at=row.started_at,
        finished_at=row.finished_at,
        engine=row.engine,
        facts=row.facts,
        warnings=tuple(row.warnings),
        error=row.error,
        version=row.version,
    )


def _visible(session: Session, job_id: str, *, lock: bool = False) -> JobRow:
    # PostgreSQL takes no NUL in a question either. Whether there is a job that one may not see must
    # not show in the time of the answer, so the job itself is looked up last.
    known = "\0" not in job_id and may_see(session, job_id)
    row = session.get(JobRow, job_id, with_for_update=lock or None) if known else None
    if row is None or row.deleted:
        raise NotFound("There is no such job.")
    return row


def _is_waiting() -> Any:
    return and_(JobRow.status == JobState.QUEUED.value, ~JobRow.deleted)


def _is_ahead(row: JobRow) -> Any:
    older = and_(JobRow.priority == row.priority, JobRow.id < row.id)
    return and_(
        _is_waiting(),
        not_paused(),
        JobRow.queue == row.queue,
        or_(JobRow.priority > row.priority, older),
    )


def _may_start(row: JobRow) -> Select[int]:
    return select(func.count()).where(JobRow.id == row.id, not_paused())


def _filtered(query: Select[JobRow], wanted: JobFilter) -> Select[JobRow]:
    query = query.where(~JobRow.deleted, job_is_visible(JobRow.id))
    if wanted.listed_only:
        query = query.where(JobRow.listed)
    if wanted.status:
        query = query.where(JobRow.status == wanted.status.value)
    if wanted.pipeline:
        query = query.where(JobRow.pipeline == wanted.pipeline)
    if wanted.batch_id:
        query = query.where(JobRow.batch_id == wanted.batch_id)
    if wanted.query:
        query = query.where(JobRow.name.icontains(wanted.query, autoescape=True))
    if wanted.cursor:
        created_at, job_id = read_cursor(wanted.cursor)
        query = query.where(
            or_(
                JobRow.created_at < created_at,
                and_(JobRow.created_at == created_at, JobRow.id < job_id),
            )
        )
    return query
