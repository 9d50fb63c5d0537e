"""Whether a client's idempotency key has made something, for whoever counts requests."""

from __future__ import annotations

from sqlalchemy import Engine, select, union_all

from backend.jobs.access.viewer import scoped
from backend.jobs.batches.tables import BatchKeyRow
from backend.jobs.schema import IdempotencyRow
from backend.jobs.store import IDEMPOTENCY_KEPT
from backend.units import Clock


def has_made_something(engine: Engine, clock: Clock, idempotency_key: str) -> bool:
    """Whether the API key of this request has made a job or a batch with it within a day."""
    key, since = scoped(idempotency_key), clock.now() - IDEMPOTENCY_KEPT
    query = union_all(
        *(
            select(table.key).where(table.key == key, table.created_at >= since)
            for table in (IdempotencyRow, BatchKeyRow)
        )
    )
    with engine.connect() as connection:
        return connection.execute(query).first() is not None
