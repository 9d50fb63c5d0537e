"""Frees the jobs of dead workers, and tells those who listen."""

from __future__ import annotations

import logging

from backend.jobs.claims import Claims, Released
from backend.jobs.events import EventLog
from backend.jobs.states import EventType

log = logging.getLogger(__name__)


def release_lost_jobs(claims: Claims, events: EventLog) -> list[Released]:
    """Give jobs whose worker died back to their queue, or end them, and publish that.

    Parameters
    ----------
    claims : Claims
        Changes the rows.
    events : EventLog
        Told afterwards; when it cannot be reached, listeners learn it from the row.
    """
    released = claims.release_lost()
    for job in released:
        log.warning("job %s lost its worker and is %s", job.job_id, job.status)
        publish_released(events, job)
    return released


def publish_released(events: EventLog, job: Released) -> None:
    """Tell those who listen to a job that it waits again, or has ended."""
    data = {"status": job.status.value, "attempt": job.attempt}
    events.publish(job.job_id, EventType.STATE, data)
    if job.status.is_terminal:
        events.publish(job.job_id, EventType.END, {"status": job.status.value})
