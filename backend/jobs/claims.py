"""The worker's side of the store: claim, report, finish, each behind the fence.

A claim gives the worker a lease and an attempt number. Every later write names both; when the
row has moved on, the write changes nothing and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from backend.errors import MeshkilnError, WorkerLost
from backend.jobs.batches.pausing import not_paused
from backend.jobs.error_documents import error_document
from backend.jobs.owners import Owner
from backend.jobs.records import OutputRecord
from backend.jobs.schema import JobRow, OutputRow
from backend.jobs.states import JobState, StageState
from backend.jobs.store import JobStore

ACTIVE = (JobState.RUNNING.value, JobState.CANCELING.value)


@dataclass(frozen=True)
class ClaimedJob:
    """A job this worker holds."""

    id: str
    pipeline: str
    params: dict[str, Any]
    inputs: tuple[str, ...]
    stages: tuple[str, ...]
    owner: str
    attempt: int


@dataclass(frozen=True)
class Choice:
    """Which jobs a claim begins with.

    Parameters
    ----------
    batch_key : str
        Only jobs of this key.
    is_retry : bool
        Only those whose worker has died, or only those that have not run yet.
    """

    batch_key: str
    is_retry: bool = False


@dataclass(frozen=True)
class Released:
    """A job that changed hands without its worker: its id and its new state."""

    job_id: str
    status: JobState
    attempt: int


class Claims:
    """Leases on jobs.

    Parameters
    ----------
    store : JobStore
        The store whose rows are claimed.
    lease_s : float
        How long a claim holds without being renewed, in seconds.
    """

    def __init__(self, store: JobStore, lease_s: float = 60.0) -> None:
        self._writer = store.writer
        self._engine = store.engine
        self._clock = store.clock
        self._lease = timedelta(seconds=lease_s)

    def claim(
        self, queue: str, owner: str, max_n: int = 1, choice: Choice | None = None
    ) -> list[ClaimedJob]:
        """Take waiting jobs: highest priority and oldest first, then those of the same batch key.

        A job whose worker has died is taken alone: it may be what killed it.

        Parameters
        ----------
        queue : str
            Which queue.
        owner : str
            Who takes them, ``str(Owner)``.
        max_n : int
            At most so many.
        choice : Choice, optional
            Which jobs instead; nothing is taken when others were faster.
        """
        with Session(self._writer) as session, session.begin():
            first = session.scalars(_chosen(queue, choice).limit(1)).first()
            if first is None:
                return []
            rows = [first]
            if max_n > 1 and first.attempt == 0:
                same = _waiting(queue).where(
                    JobRow.batch_key == first.batch_key,
                    JobRow.attempt == 0,
                    JobRow.id != first.id,
                )
                rows += session.scalars(same.limit(max_n - 1)).all()
            for row in rows:
                self._take(row, owner)
            session.flush()
            return [_claimed(row) for row in rows]

    def renew(self, job: ClaimedJob) -> bool:
        """Extend the lease of one attempt; returns whether it is still held."""
        with self._writer.begin() as connection:
            done = connection.execute(
                update(JobRow)
                .where(
                    JobRow.id == job.id,
                    JobRow.owner == job.owner,
                    JobRow.attempt == job.attempt,
                    JobRow.status.in_(ACTIVE),
                )
                .values(lease_until=self._clock.now() + self._lease)
            )
            return done.rowcount > 0

    def is_stopped(self, job: ClaimedJob) -> bool:
        """Whether the job was canceled or is no longer this worker's."""
        query = select(JobRow.status, JobRow.owner, JobRow.attempt).where(JobRow.id == job.id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return row is None or tuple(row) != (JobState.RUNNING.value, job.owner, job.attempt)

    def update_stage(
        self, job: ClaimedJob, name: str, progress: float, values: Mapping[str, Any]
    ) -> bool:
        """Change one stage and the progress of the whole job (0 to 100)."""

        def change(row: JobRow) -> None:
            stage = next(stage for stage in row.stages if stage.name == name)
            for key, value in values.items():
                setattr(stage, key, value)
            row.progress = max(row.progress, min(progress, 100.0))

        return self._change(job, change)

    def add_warning(self, job: ClaimedJob, message: str) -> bool:
        """Keep a note for the user."""

        def change(row: JobRow) -> None:
            if message not in row.warnings:
                row.warnings = [*row.warnings, message]

        return self._change(job, change)

    def set_engine(self, job: ClaimedJob, role: str, engine: str) -> bool:
        """Note which engine does a role."""

        def change(row: JobRow) -> None:
            row.engine = {**row.engine, role: engine}

        return self._change(job, change)

    def finish(
        self, job: ClaimedJob, outputs: Sequence[OutputRecord], facts: Mapping[str, Any]
    ) -> bool:
        """Mark the job succeeded with its outputs; False when the claim was lost.

        A cancel that came too late to stop the work loses: the result is kept.
        """

        def change(row: JobRow) -> None:
            row.status, row.progress, row.facts = JobState.SUCCEEDED.value, 100.0, dict(facts)
            row.outputs = [
                OutputRow(position=i, **output.__dict__) for i, output in enumerate(outputs)
            ]

        return self._end(job, change)

    def fail(self, job: ClaimedJob, error: MeshkilnError) -> bool:
        """Mark the job failed; False when the claim was lost."""

        def change(row: JobRow) -> None:
            row.status, row.error = JobState.FAILED.value, error_document(error)
            _stop_stages(row, StageState.FAILED)

        return self._end(job, change)

    def mark_canceled(self, job: ClaimedJob) -> bool:
        """Mark the job canceled; False when the claim was lost."""

        def change(row: JobRow) -> None:
            row.status = JobState.CANCELED.value
            _stop_stages(row, StageState.CANCELED)

        return self._end(job, change)

    def release_lost(self) -> list[Released]:
        """Free jobs whose lease ran out or whose worker died on this machine.

        A job goes back to its queue, or ends as canceled if that was asked for, or as failed
        ``worker-lost`` after its last attempt. One of several that the worker held gets the
        attempt back: which of them killed it is not known, and from now on each runs alone.
        """
        now = self._clock.now()
        active = JobRow.status.in_(ACTIVE)
        query = select(JobRow).where(active).with_for_update(skip_locked=True)
        with Session(self._writer) as session, session.begin():
            released = []
            held = Counter(session.scalars(select(JobRow.owner).where(active)))
            for row in session.scalars(query).all():
                expired = row.lease_until is None or row.lease_until < now
                if expired or (row.owner and Owner.parse(row.owner).is_dead()):
                    if held[row.owner] > 1:
                        _give_attempt_back(row)
                    self._release(row)
                    released.append(Released(row.id, JobState(row.status), row.attempt))
            return released

    def hand_back(self, job: ClaimedJob) -> Released | None:
        """Put a job back that suffers for another one, with its attempt; None when it was lost.

        It will run alone. A job that was asked to stop ends as canceled.
        """
        released: list[Released] = []

        def change(row: JobRow) -> None:
            _give_attempt_back(row)
            self._release(row)
            released.append(Released(row.id, JobState(row.status), row.attempt))

        return released[0] if self._change(job, change) else None

    def overdue_cancels(self, grace_s: float) -> list[Owner]:
        """Owners of jobs that were asked to stop more than ``grace_s`` seconds ago."""
        limit = self._clock.now() - timedelta(seconds=grace_s)
        query = select(JobRow.owner).where(
            JobRow.status == JobState.CANCELING.value, JobRow.cancel_requested_at < limit
        )
        with self._engine.connect() as connection:
            return [Owner.parse(owner) for owner in connection.scalars(query) if owner]

    def next_overdue_cancel_s(self, grace_s: float) -> float | None:
        """Seconds until the next job has been asked to stop for too long; None if none was asked.

        Those that are overdue already do not count.
        """
        now = self._clock.now()
        query = select(func.min(JobRow.cancel_requested_at)).where(
            JobRow.status == JobState.CANCELING.value,
            JobRow.cancel_requested_at >= now - timedelta(seconds=grace_s),
        )
        with self._engine.connect() as connection:
            asked_at: datetime | None = connection.scalar(query)
        return (asked_at - now).total_seconds() + grace_s if asked_at else None

    def _take(self, row: JobRow, owner: str) -> None:
        now = self._clock.now()
        row.status, row.owner = JobState.RUNNING.value, owner
        row.attempt += 1
        row.started_at, row.lease_until = now, now + self._lease
        row.progress, row.engine, row.warnings = 0.0, {}, []
        row.version += 1
        for stage in row.stages:
            stage.status, stage.progress = StageState.PENDING.value, 0.0
            stage.step = stage.steps = stage.elapsed_s = None

    def _change(self, job: ClaimedJob, change: Callable[[JobRow], None]) -> bool:
        with Session(self._writer) as session, session.begin():
            query = select(JobRow).where(
                JobRow.id == job.id,
                JobRow.owner == job.owner,
                JobRow.attempt == job.attempt,
                JobRow.status.in_(ACTIVE),
            )
            row = session.scalars(query.with_for_update()).first()
            if row is None:
                return False
            change(row)
            row.version += 1
            return True

    def _end(self, job: ClaimedJob, change: Callable[[JobRow], None]) -> bool:
        def end(row: JobRow) -> None:
            change(row)
            row.finished_at = self._clock.now()
            row.owner = row.lease_until = None

        return self._change(job, end)

    def _release(self, row: JobRow) -> None:
        row.owner = row.lease_until = None
        row.version += 1
        if row.status == JobState.CANCELING or row.deleted:
            row.status, row.finished_at = JobState.CANCELED.value, self._clock.now()
            _stop_stages(row, StageState.CANCELED)
        elif row.attempt >= row.max_attempts:
            error = WorkerLost(f"The worker died {row.attempt} times while it ran this job.")
            row.status, row.finished_at = JobState.FAILED.value, self._clock.now()
            row.error = error_document(error)
            _stop_stages(row, StageState.FAILED)
        else:
            row.status = JobState.QUEUED.value


def waiting_conditions(queue: str) -> tuple[ColumnElement[bool], ...]:
    """What is true of the jobs of a queue that a worker may take now."""
    return (
        JobRow.queue == queue,
        JobRow.status == JobState.QUEUED.value,
        ~JobRow.deleted,
        not_paused(),
    )


def _waiting(queue: str) -> Select[JobRow]:
    return (
        select(JobRow)
        .where(*waiting_conditions(queue))
        .order_by(JobRow.priority.desc(), JobRow.id)
        .with_for_update(skip_locked=True)
    )


def _chosen(queue: str, choice: Choice | None) -> Select[JobRow]:
    if choice is None:
        return _waiting(queue)
    ran = JobRow.attempt > 0 if choice.is_retry else JobRow.attempt == 0
    return _waiting(queue).where(JobRow.batch_key == choice.batch_key, ran)


def _give_attempt_back(row: JobRow) -> None:
    """Allow one more: the number itself tells this attempt from the next and must not repeat.

    A job that has run before runs alone, so this happens once.
    """
    if row.attempt == 1:
        row.max_attempts += 1


def _stop_stages(row: JobRow, state: StageState) -> None:
    for stage in row.stages:
        if stage.status == StageState.RUNNING:
            stage.status = state.value


def _claimed(row: JobRow) -> ClaimedJob:
    return ClaimedJob(
        id=row.id,
        pipeline=row.pipeline,
        params=row.params,
        inputs=tuple(row.inputs),
        stages=tuple(stage.name for stage in row.stages),
        owner=row.owner or "",
        attempt=row.attempt,
    )
