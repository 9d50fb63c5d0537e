"""What of access is forgotten in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete

from backend.jobs.access.tables import AuditRow, LoginRow, ShareRow
from backend.jobs.schema import for_writing

AUDIT_KEPT = timedelta(days=365)


def forget_expired(engine: Engine, now: datetime) -> int:
    """Remove logins and links that have ended, and old audit entries; returns how many rows."""
    due = (
        delete(LoginRow).where(LoginRow.expires_at <= now),
        delete(ShareRow).where(ShareRow.expires_at <= now),
        delete(AuditRow).where(AuditRow.at < now - AUDIT_KEPT),
    )
    with for_writing(engine).begin() as connection:
        return sum(connection.execute(statement).rowcount for statement in due)
