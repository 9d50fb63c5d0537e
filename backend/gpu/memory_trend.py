"""Whether the memory in use rises, falls or stays."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_READINGS = 4
NOTICEABLE_PCT = 5.0
STABLE_VARIANCE = 25.0


@dataclass(frozen=True)
class MemoryTrend:
    """Memory use over the last readings, in percent of the device."""

    trend: str
    avg_utilization: float
    peak_utilization: float
    min_utilization: float
    variance: float

    @property
    def is_rising(self) -> bool:
        """Whether the later half lies clearly above the earlier."""
        return self.trend == "increasing"

    @property
    def is_stable(self) -> bool:
        """Whether it hardly moves."""
        return self.variance < STABLE_VARIANCE


def memory_trend(used_pct: Sequence[float]) -> MemoryTrend | None:
    """Summarise readings, oldest first; None below four.

    Examples
    --------
    >>> memory_trend([10, 10, 30, 40]).trend, memory_trend([10, 11, 10, 11]).trend
    ('increasing', 'stable')
    >>> memory_trend([1.0]) is None
    True
    """
    if len(used_pct) < LEAST_READINGS:
        return None
    half = len(used_pct) // 2
    change = statistics.fmean(used_pct[half:]) - statistics.fmean(used_pct[:half])
    if abs(change) < NOTICEABLE_PCT:
        trend = "stable"
    else:
        trend = "increasing" if change > 0 else "decreasing"
    return MemoryTrend(
        trend,
        statistics.fmean(used_pct),
        max(used_pct),
        min(used_pct),
        statistics.pvariance(used_pct),
    )
