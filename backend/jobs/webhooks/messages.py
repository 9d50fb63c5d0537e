"""What a webhook says: which kind of end, when, and the document of the job or batch."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from backend.jobs.records import JobRecord, job_document
from backend.jobs.states import JobState
from backend.units import iso

BATCH_FINISHED = "batch.finished"


def job_message(job: JobRecord, now: datetime) -> bytes:
    """Write the message about a job that has ended."""
    # the files of a job may go before its message arrives
    ended = JobState.SUCCEEDED if job.status is JobState.EXPIRED else job.status
    return _written(f"job.{ended.value}", job.finished_at or now, job_document(job))


def batch_message(document: dict[str, Any], now: datetime) -> bytes:
    """Write the message about a batch none of whose jobs is left to do."""
    return _written(BATCH_FINISHED, now, document)


def _written(kind: str, at: datetime, data: dict[str, Any]) -> bytes:
    message = {"type": kind, "timestamp": iso(at), "data": data}
    return json.dumps(message, separators=(",", ":")).encode()
