"""What the store of batches hands out, and the JSON of the HTTP contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from backend.errors import MeshkilnError
from backend.units import iso


class BatchState(StrEnum):
    """Where a batch is; it follows from its jobs."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELING = "canceling"
    FINISHED = "finished"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing of it waits or runs."""
        return self in (BatchState.FINISHED, BatchState.CANCELED)


class ItemState(StrEnum):
    """Where an item is: its job's state, or why it has no job."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REFUSED = "refused"
    DELETED = "deleted"


@dataclass(frozen=True)
class BatchCounts:
    """Items by what became of them; the parts add up to ``total``.

    ``running`` includes jobs that are being canceled, ``succeeded`` those whose files were
    removed since.
    """

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    refused: int = 0
    deleted: int = 0

    @property
    def total(self) -> int:
        """All items that were sent."""
        return self.active + self.ended + self.refused + self.deleted

    @property
    def active(self) -> int:
        """Items that wait or run."""
        return self.queued + self.running

    @property
    def ended(self) -> int:
        """Items whose job has ended."""
        return self.succeeded + self.failed + self.canceled


@dataclass(frozen=True)
class BatchItem:
    """One item and the newest job made of it."""

    position: int
    custom_id: str
    status: ItemState
    job_id: str | None = None
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class BatchRecord:
    """A batch as stored, with what its jobs tell.

    ``jobs_per_min`` and ``eta_s`` are None where too few jobs have ended to say.
    """

    id: str
    name: str
    pipeline: str
    params: dict[str, Any]
    created_at: datetime
    state: BatchState
    counts: BatchCounts
    progress: float
    started_at: datetime | None = None
    finished_at: datetime | None = None
    jobs_per_min: float | None = None
    eta_s: float | None = None
    warnings: tuple[str, ...] = field(default=())


def state_of(counts: BatchCounts, *, paused: bool, canceled: bool) -> BatchState:
    """Tell the state of a batch from its jobs and what was asked for.

    >>> state_of(BatchCounts(queued=2, failed=1), paused=True, canceled=False)
    <BatchState.PAUSED: 'paused'>
    """
    if not counts.active:
        return BatchState.CANCELED if canceled else BatchState.FINISHED
    if canceled:
        return BatchState.CANCELING
    if paused:
        return BatchState.PAUSED
    return BatchState.RUNNING if counts.running or counts.ended else BatchState.QUEUED


def item_problem(error: MeshkilnError) -> dict[str, Any]:
    """Write why an item was refused, as a problem document."""
    return {
        "type": f"/docs/problems#{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.detail,
        "code": error.code,
        "advice": error.advice,
        "errors": [{"pointer": f.pointer, "detail": f.detail} for f in error.fields],
    }


def item_document(item: BatchItem) -> dict[str, Any]:
    """Write an item."""
    document: dict[str, Any] = {"custom_id": item.custom_id, "status": item.status.value}
    if item.job_id is None:
        return document | {"problem": item.problem}
    return document | {"job_id": item.job_id}


def batch_document(batch: BatchRecord, items: Sequence[BatchItem] | None = None) -> dict[str, Any]:
    """Write a batch; lists leave the items out."""
    counts = batch.counts
    document = {
        "id": batch.id,
        "name": batch.name,
        "pipeline": batch.pipeline,
        "params": batch.params,
        "status": batch.state.value,
        "counts": {"total": counts.total, **counts.__dict__},
        "progress": round(batch.progress, 1),
        "jobs_per_min": None if batch.jobs_per_min is None else round(batch.jobs_per_min, 2),
        "eta_s": None if batch.eta_s is None else round(batch.eta_s, 1),
        "created_at": iso(batch.created_at),
        "started_at": iso(batch.started_at),
        "finished_at": iso(batch.finished_at),
        "warnings": list(batch.warnings),
        "links": _links(batch.id),
    }
    if items is not None:
        document["items"] = [item_document(item) for item in items]
    return document


def _links(batch_id: str) -> dict[str, str]:
    base = f"/api/v1/batches/{batch_id}"
    verbs = ("results", "archive", "manifest", "cancel", "pause", "resume")
    return {
        "self": base,
        **{verb: f"{base}/{verb}" for verb in verbs},
        "retry_failed": f"{base}/retry-failed",
        "jobs": f"/api/v1/jobs?batch_id={batch_id}",
        "page": f"/batches/{batch_id}",
    }
