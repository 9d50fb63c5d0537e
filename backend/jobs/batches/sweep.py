"""Which batches are forgotten: those of which no job is left."""

from __future__ import annotations

from sqlalchemy import Engine, delete, exists, select

from backend.jobs.batches.tables import BatchItemRow, BatchKeyRow, BatchRow
from backend.jobs.schema import JobRow
from backend.jobs.webhooks.table import WebhookRow, WebhookState


def forget_empty_batches(writer: Engine) -> int:
    """Remove batches whose jobs were all deleted, with their items and idempotency keys.

    One whose end somebody still has to be told of stays until then.

    Parameters
    ----------
    writer : Engine
        Of the store, for transactions that write.

    Returns
    -------
    int
        How many batches are gone.
    """
    has_job = exists().where(BatchItemRow.batch_id == BatchRow.id, BatchItemRow.job_id == JobRow.id)
    has_message = exists().where(
        WebhookRow.batch_id == BatchRow.id, WebhookRow.state == WebhookState.PENDING.value
    )
    with writer.begin() as connection:
        empty = list(connection.scalars(select(BatchRow.id).where(~has_job, ~has_message)))
        for batch_id in empty:
            connection.execute(delete(BatchKeyRow).where(BatchKeyRow.batch_id == batch_id))
            connection.execute(delete(BatchRow).where(BatchRow.id == batch_id))
    return len(empty)
