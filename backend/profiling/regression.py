"""Whether runs became slower or faster, told apart from noise.

The ratio of two medians comes with a bootstrap interval, and only the interval decides: the
last run alone is slower than the one before in half of all cases where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from backend.errors import InvalidParameter
from backend.profiling.statistics import sorted_values

# The range of five values holds their median with 1 - 2 / 2**5 = 94 %; of fewer, with less.
INTERVAL_MIN_RUNS = 5
VERDICT_MIN_RUNS = 10
MARGIN = 1.03


class Verdict(StrEnum):
    """What may be said of runs after a change."""

    SLOWER = "slower"
    FASTER = "faster"
    NO_DIFFERENCE = "no_difference"
    TOO_FEW = "too_few"


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of times and its confidence interval; no bounds from fewer than five runs."""

    ratio: float
    low: float | None
    high: float | None
    n_before: int
    n_after: int


def ratio_interval(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> RatioInterval:
    """Compare the medians of two independent groups of runs.

    Parameters
    ----------
    before, after : sequence of float
        Times above zero, in seconds, in any order; the groups may differ in size.
    confidence : float
        The chance that the interval holds the true ratio, 0 to 1, both excluded.
    seed : int
        Not negative; the same seed and values give the same interval.

    Returns
    -------
    RatioInterval
        Of median(after) / median(before): above 1 is slower.

    Raises
    ------
    InvalidParameter
        A group is empty, a time is not above zero, or the confidence is out of range.

    Source
    ------
    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), percentile interval.
    """
    old, new = _times(before), _times(after)
    tail = _tail(confidence)
    ratio = median(new) / median(old)
    low, high = None, None
    if min(len(old), len(new)) >= INTERVAL_MIN_RUNS:
        from backend.profiling.bootstrap import bounds_of_ratio

        low, high = bounds_of_ratio(old, new, tail, seed)
    return RatioInterval(ratio, low, high, len(old), len(new))


def paired_interval(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> RatioInterval:
    """Compare runs pair by pair, so that what drifts slowly cancels out.

    Parameters
    ----------
    before, after : sequence of float
        Times above zero, in seconds; the entries at one index were measured close together.
    confidence : float
        As in `ratio_interval`.
    seed : int
        As in `ratio_interval`.

    Returns
    -------
    RatioInterval
        Of median(after / before): above 1 is slower.

    Raises
    ------
    InvalidParameter
        The lengths differ, or as in `ratio_interval`.
    """
    if len(before) != len(after):
        raise InvalidParameter(f"{len(before)} and {len(after)} runs make no pairs.")
    _times(before), _times(after)
    tail = _tail(confidence)
    ratios = sorted(new / old for old, new in zip(before, after, strict=True))
    low, high = None, None
    if len(ratios) >= INTERVAL_MIN_RUNS:
        from backend.profiling.bootstrap import bounds_of_median

        low, high = bounds_of_median(ratios, tail, seed)
    return RatioInterval(median(ratios), low, high, len(before), len(after))


def verdict_of(interval: RatioInterval) -> Verdict:
    """Say what an interval of at least ten runs a side shows beyond 3 %.

    Examples
    --------
    >>> verdict_of(RatioInterval(1.10, 1.06, 1.14, 20, 20)).value
    'slower'
    >>> verdict_of(RatioInterval(1.10, 1.02, 1.18, 20, 20)).value
    'no_difference'
    >>> verdict_of(RatioInterval(1.10, 1.06, 1.14, 20, 9)).value
    'too_few'
    """
    few = min(interval.n_before, interval.n_after) < VERDICT_MIN_RUNS
    if few or interval.low is None or interval.high is None:
        return Verdict.TOO_FEW
    if interval.low > MARGIN:
        return Verdict.SLOWER
    return Verdict.FASTER if interval.high < 1 / MARGIN else Verdict.NO_DIFFERENCE


def _times(values: Sequence[float]) -> Sequence[float]:
    ordered = sorted_values(values)
    if ordered[0] <= 0:
        raise InvalidParameter(f"A time of {ordered[0]} s has no ratio to another.")
    return ordered


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InvalidParameter(f"A confidence lies between 0 and 1, not at {confidence}.")
    return (1 - confidence) / 2
