"""A key as the rest of the program knows it: without its secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class KeyLimits:
    """What a key may use; None is the server's own limit, or none."""

    submits_per_min: int | None = None
    reads_per_min: int | None = None
    max_queued_jobs: int | None = None
    max_stored_gb: float | None = None


@dataclass(frozen=True)
class ApiKey:
    """A key. ``prefix`` is the part of it that may be shown."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    is_admin: bool = False
    limits: KeyLimits = KeyLimits()
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether the key opens anything."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)
