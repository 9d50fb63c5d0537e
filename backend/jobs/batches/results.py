"""Items with their jobs, a page at a time: no connection stays open while a client reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from backend.jobs.batches.records import BatchItem, ItemState
from backend.jobs.batches.store import BatchStore
from backend.jobs.records import JobRecord, output_document
from backend.jobs.schema import JobRow
from backend.jobs.store import to_record
from backend.units import iso

PAGE = 50


@dataclass(frozen=True)
class ItemResult:
    """One item, and its job if it has one."""

    item: BatchItem
    job: JobRecord | None

    @property
    def status(self) -> str:
        """Where the item is."""
        return self.job.status.value if self.job else self.item.status.value

    @property
    def error(self) -> dict[str, Any] | None:
        """Why there is no result: the job's error, or the problem of an item without one."""
        return self.job.error if self.job else self.item.problem


class BatchResults:
    """Reads the results of batches.

    Parameters
    ----------
    engine : Engine
        The job database.
    batches : BatchStore
        Knows the items.
    """

    def __init__(self, engine: Engine, batches: BatchStore) -> None:
        self._engine = engine
        self._batches = batches

    def of(self, batch_id: str) -> Iterator[ItemResult]:
        """Yield all items in the order they were sent.

        The batch must have been looked up before: this asks nobody for permission.
        """
        after = -1
        while items := self._batches.items(batch_id, after, PAGE):
            jobs = self._jobs([item.job_id for item in items if item.job_id])
            for item in items:
                is_there = item.status is not ItemState.DELETED
                yield ItemResult(item, jobs.get(item.job_id or "") if is_there else None)
            after = items[-1].position

    def _jobs(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        with Session(self._engine) as session, session.begin():
            rows = session.scalars(select(JobRow).where(JobRow.id.in_(job_ids))).all()
            return {row.id: to_record(row) for row in rows}


def result_document(result: ItemResult) -> dict[str, Any]:
    """Write one line of the results."""
    job = result.job
    return {
        "custom_id": result.item.custom_id,
        "status": result.status,
        "job_id": result.item.job_id,
        "params": job.params if job else None,
        "started_at": iso(job.started_at) if job else None,
        "finished_at": iso(job.finished_at) if job else None,
        "outputs": [output_document(job.id, output) for output in job.outputs] if job else [],
        "error": result.error,
    }
