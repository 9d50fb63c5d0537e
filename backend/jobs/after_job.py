"""What measurements between two jobs need to know: the run just made, and whether a job waits."""

from __future__ import annotations

from sqlalchemy import select

from backend.jobs.claims import ClaimedJob, waiting_conditions
from backend.jobs.schema import JobRow
from backend.jobs.service import JobService
from backend.profiling.run_summary import RunStatus, StoredRun


def run_of(service: JobService, job: ClaimedJob) -> StoredRun | None:
    """Return the run of a job if it was the last one stored and went well."""
    newest = service.run_history.newest()
    stored = service.run_history.run(newest) if newest else None
    if stored is None or stored.summary.job_id != job.id:
        return None
    return stored if stored.summary.status is RunStatus.OK else None


def somebody_waits(service: JobService, queue: str) -> bool:
    """Whether a job waits in a queue that a worker may take; one of a paused batch does not."""
    waiting = select(JobRow.id).where(*waiting_conditions(queue))
    with service.store.engine.connect() as connection:
        return connection.execute(waiting.limit(1)).first() is not None
