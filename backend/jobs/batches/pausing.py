"""Jobs of a paused batch wait, and hold up nobody behind them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from backend.jobs.batches.tables import BatchRow
from backend.jobs.schema import JobRow


def not_paused() -> ColumnElement[bool]:
    """Restrict a query to jobs that no paused batch holds back."""
    paused = select(BatchRow.id).where(BatchRow.paused)
    return or_(JobRow.batch_id.is_(None), JobRow.batch_id.not_in(paused))
