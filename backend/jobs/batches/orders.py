"""What may be asked of a stored batch: pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend.errors import BatchFinished
from backend.jobs.batches.store import visible
from backend.jobs.batches.tables import BatchItemRow, BatchRow
from backend.jobs.claims import ACTIVE, Released
from backend.jobs.schema import JobRow
from backend.jobs.states import JobState
from backend.jobs.store import JobStore


class BatchOrders:
    """Changes batches.

    Parameters
    ----------
    jobs : JobStore
        The store of their jobs.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._writer = jobs.writer
        self._clock = jobs.clock

    def pause(self, batch_id: str) -> None:
        """Hold back what waits; raises NotFound, BatchFinished, QueueFull."""
        with Session(self._writer) as session, session.begin():
            row = visible(session, batch_id, lock=True)
            _check_active(session, row)
            row.paused = True
            session.flush()
            self._jobs.check_paused(session)

    def resume(self, batch_id: str) -> Sequence[str]:
        """Let go of what waits; returns the queues to ring. Raises NotFound."""
        with Session(self._writer) as session, session.begin():
            visible(session, batch_id, lock=True).paused = False
            queues = select(JobRow.queue).where(*_own(batch_id, JobState.QUEUED)).distinct()
            return list(session.scalars(queues))

    def cancel(self, batch_id: str) -> list[Released]:
        """Cancel what waits and ask what runs to stop; raises NotFound, BatchFinished.

        Returns
        -------
        list of Released
            The jobs that changed, in their new state.
        """
        now = self._clock.now()
        with Session(self._writer) as session, session.begin():
            row = visible(session, batch_id, lock=True)
            _check_active(session, row)
            row.canceled, row.paused = True, False
            waiting = {
                "status": JobState.CANCELED.value, "finished_at": now
            }  # fmt: skip
            running = {"status": JobState.CANCELING.value, "cancel_requested_at": now}
            return [
                *_change(session, batch_id, JobState.QUEUED, waiting),
                *_change(session, batch_id, JobState.RUNNING, running),
            ]


def _change(
    session: Session, batch_id: str, state: JobState, values: dict[str, Any]
) -> list[Released]:
    """Change the batch's jobs in one state; locked first, so that no worker takes one meanwhile."""
    found = session.execute(
        select(JobRow.id, JobRow.attempt).where(*_own(batch_id, state)).with_for_update()
    ).all()
    if found:
        session.execute(
            update(JobRow)
            .where(*_own(batch_id, state))
            .values(**values, version=JobRow.version + 1)
            .execution_options(synchronize_session=False)
        )
    return [Released(job_id, JobState(values["status"]), attempt) for job_id, attempt in found]


def _own(batch_id: str, state: JobState) -> tuple[Any, ...]:
    return (JobRow.batch_id == batch_id, JobRow.status == state.value)


def _check_active(session: Session, row: BatchRow) -> None:
    query = (
        select(func.count())
        .select_from(BatchItemRow)
        .join(JobRow, JobRow.id == BatchItemRow.job_id)
        .where(
            BatchItemRow.batch_id == row.id,
            JobRow.status.in_([JobState.QUEUED.value, *ACTIVE]),
            ~JobRow.deleted,
        )
    )
    if not session.scalar(query):
        raise BatchFinished("Nothing of the batch waits or runs.")
