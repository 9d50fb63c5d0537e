"""Which webhooks are forgotten: those of jobs go with their jobs, those of batches by age."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete

from backend.jobs.webhooks.table import WebhookRow, WebhookState

BATCHES_KEPT = timedelta(days=30)


def forget_old_webhooks(writer: Engine, now: datetime) -> None:
    """Remove webhooks of batches that were settled and are a month old."""
    with writer.begin() as connection:
        connection.execute(
            delete(WebhookRow).where(
                WebhookRow.job_id.is_(None),
                WebhookRow.state != WebhookState.PENDING.value,
                WebhookRow.created_at < now - BATCHES_KEPT,
            )
        )
