"""Recorded runs as far as the key of a request may see them: those of its own jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from backend.errors import NotFound
from backend.jobs.access.job_owners import visible_jobs
from backend.jobs.access.tables import JobOwnerRow
from backend.jobs.access.viewer import current_key_id, is_restricted
from backend.jobs.service import JobService
from backend.profiling.run_summary import StoredRun


def own_jobs() -> Select[Any] | None:
    """Return a query of the jobs of this key, or None where all may be seen."""
    if not is_restricted():
        return None
    return select(JobOwnerRow.job_id).where(JobOwnerRow.key_id == current_key_id())


def stored_run(service: JobService, run_id: str) -> StoredRun:
    """Look up a run; raises NotFound, also for a run of somebody else's job."""
    found = service.run_history.run(run_id)
    if found is None or not _is_own(service, found.summary.job_id):
        raise NotFound("There is no such run.")
    return found


def with_own_jobs(service: JobService, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write no job for the runs of other keys' jobs: what they took is known, whose it was is not.

    Parameters
    ----------
    rows : list of dict
        With ``job_id``; not changed.
    """
    if not is_restricted():
        return rows
    named = [row["job_id"] for row in rows if row["job_id"]]
    seen = visible_jobs(service.store.engine, named)
    return [row if row["job_id"] in seen else row | {"job_id": None} for row in rows]


def _is_own(service: JobService, job_id: str | None) -> bool:
    if not is_restricted():
        return True
    return job_id is not None and job_id in visible_jobs(service.store.engine, [job_id])
