"""Time, identifiers and sizes: the only place that reads the wall clock."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol

MB = 1024 * 1024
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    """A source of time that tests can replace."""

    def now(self) -> datetime:
        """Wall-clock time, timezone-aware, UTC."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary origin, never falling."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Wall-clock time in UTC."""
        return datetime.now(UTC)  # noqa: TID251  the one reader of the wall clock

    def monotonic_s(self) -> float:
        """Seconds since boot, never falling."""
        return time.monotonic()


def new_id(now: datetime) -> str:
    """Make a 26-character identifier that sorts by time (ULID layout, lower case).

    Parameters
    ----------
    now : datetime
        Creation time; its milliseconds become the first ten characters.

    Returns
    -------
    str
        26 Crockford base-32 characters.

    Source
    ------
    The ULID layout: 48 bits of milliseconds followed by 80 random bits.
    """
    value = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def iso(moment: datetime | None) -> str | None:
    """Write a time as RFC 3339 with milliseconds and a Z, or None.

    >>> iso(datetime(2026, 11, 21, tzinfo=UTC))
    '2026-11-21T00:00:00.000Z'
    """
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
