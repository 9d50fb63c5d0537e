"""How fast a batch goes, from the moments its jobs ended at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

WINDOW = 30
MIN_ENDED = 3


def jobs_per_min(ended_at: Sequence[datetime], until: datetime) -> float | None:
    """Rate at which jobs end.

    Parameters
    ----------
    ended_at : sequence of datetime
        When the last jobs ended, newest first.
    until : datetime
        Now, so that a batch that has stopped grows slower; or the end of a finished one.

    Returns
    -------
    float or None
        Jobs per minute since the oldest of them; None from fewer than three.

    Examples
    --------
    >>> from datetime import timedelta
    >>> now = datetime(2026, 11, 21)
    >>> jobs_per_min([now - timedelta(seconds=20 * k) for k in range(4)], now)
    3.0
    """
    if len(ended_at) < MIN_ENDED:
        return None
    span_s = (until - ended_at[-1]).total_seconds()
    return 60 * (len(ended_at) - 1) / span_s if span_s > 0 else None
