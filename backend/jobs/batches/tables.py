"""The tables of batches. What a job does is told by its own row; nothing is kept twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.jobs.schema import Base, UtcDateTime

MAX_CUSTOM_ID = 200


class BatchRow(Base):
    """A batch. ``canceled`` stays set until failed items are tried again."""

    __tablename__ = "batches"
    __table_args__ = (Index("batches_newest", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paused: Mapped[bool] = mapped_column(Boolean, default=False, index=True)
    canceled: Mapped[bool] = mapped_column(Boolean, default=False)
    webhook_url: Mapped[str | None] = mapped_column(Text)
    key_id: Mapped[str | None] = mapped_column(String(26), index=True)


class BatchItemRow(Base):
    """One thing that was sent: the newest job made of it, or why there is none.

    There is no foreign key to the job: its user may delete it, the item stays.
    """

    __tablename__ = "batch_items"
    __table_args__ = (Index("batch_items_by_name", "batch_id", "custom_id", unique=True),)

    batch_id: Mapped[str] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    custom_id: Mapped[str] = mapped_column(String(MAX_CUSTOM_ID))
    job_id: Mapped[str | None] = mapped_column(String(26), index=True)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class BatchKeyRow(Base):
    """An idempotency key a client used for a batch."""

    __tablename__ = "batch_idempotency_keys"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    batch_id: Mapped[str] = mapped_column(String(26))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
