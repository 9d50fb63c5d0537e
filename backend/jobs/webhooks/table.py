"""The table of webhooks: what is to be told to whom, and how that went."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.jobs.schema import Base, UtcDateTime


class WebhookState(StrEnum):
    """Where a webhook is; ``disabled``: its receiver answered 410 and wants no more of them."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


class WebhookRow(Base):
    """One message about the end of one job, gone with it, or of one batch.

    ``id`` is the ``webhook-id`` of every attempt. ``next_at`` is when the next attempt is due;
    while one is on its way, when another process may take it for lost.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_due", "state", "next_at"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    job_id: Mapped[str | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    batch_id: Mapped[str | None] = mapped_column(String(26), index=True)
    key_id: Mapped[str | None] = mapped_column(String(26))
    url: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(12), default=WebhookState.PENDING.value)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(Text)


def webhook_row(
    webhook_id: str,
    url: str,
    now: datetime,
    *,
    job_id: str | None = None,
    batch_id: str | None = None,
    key_id: str | None = None,
) -> WebhookRow:
    """Make the row that is stored together with a job, or with the last jobs of a batch.

    A batch counts as ended whenever none of its jobs is left to do.

    Parameters
    ----------
    webhook_id : str
        From ``new_id``.
    url : str
        Checked already, see ``Webhooks.check``.
    now : datetime
        Its creation.
    job_id, batch_id : str, optional
        Exactly one of them.
    key_id : str, optional
        Whose it is, where keys are in force.
    """
    return WebhookRow(
        id=webhook_id,
        job_id=job_id,
        batch_id=batch_id,
        key_id=key_id,
        url=url,
        host=urlsplit(url).netloc.lower(),
        created_at=now,
        next_at=now,
    )
