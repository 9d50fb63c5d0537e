"""Finds the job that the same request made before, without making anything."""

from __future__ import annotations

from sqlalchemy import select

from backend.jobs.access.viewer import scoped
from backend.jobs.schema import IdempotencyRow, JobRow
from backend.jobs.store import IDEMPOTENCY_KEPT, JobStore, NewJob


def made_before(store: JobStore, new: NewJob) -> str | None:
    """Return the id of the job that was made with this idempotency key and body, if any.

    ``JobStore.submit`` decides; this only spares work that a repeated request need not do.
    """
    if not new.idempotency_key:
        return None
    query = (
        select(IdempotencyRow.job_id)
        .join(JobRow, JobRow.id == IdempotencyRow.job_id)
        .where(
            IdempotencyRow.key == scoped(new.idempotency_key),
            IdempotencyRow.body_sha256 == (new.body_sha256 or ""),
            IdempotencyRow.created_at >= store.clock.now() - IDEMPOTENCY_KEPT,
            ~JobRow.deleted,
        )
    )
    with store.engine.connect() as connection:
        return connection.scalar(query)
