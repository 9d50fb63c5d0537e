"""Whether runs became slower or faster, told apart from noise.

The ratio of two medians comes with a bootstrap interval, and only the interval decides: the
last run alone is slower than the one before in half of all cases where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from backend.errors import InvalidParameter
from backend.profiling.statistics import sorted_values

RESAMPLES = 2000
# The range of five values holds their median with 1 - 2 / 2**5 = 94 %; of fewer, with less.
INTERVAL_MIN_RUNS = 5
VERDICT_MIN_RUNS = 10
MARGIN = 1.03

FloatArray = NDArray[np.float64]


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
    ratio = float(np.median(new) / np.median(old))
    low, high = None, None
    if min(len(old), len(new)) >= INTERVAL_MIN_RUNS:
        rng = np.random.default_rng(seed)
        ratios = _resampled_medians(new, rng) / _resampled_medians(old, rng)
        low, high = _bounds(ratios, tail)
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
    ratios = np.sort(np.asarray(after, dtype=np.float64) / np.asarray(before, dtype=np.float64))
    low, high = None, None
    if len(ratios) >= INTERVAL_MIN_RUNS:
        low, high = _bounds(_resampled_medians(ratios, np.random.default_rng(seed)), tail)
    return RatioInterval(float(np.median(ratios)), low, high, len(before), len(after))


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


def _times(values: Sequence[float]) -> FloatArray:
    ordered = sorted_values(values)
    if ordered[0] <= 0:
        raise InvalidParameter(f"A time of {ordered[0]} s has no ratio to another.")
    return np.array(ordered, dtype=np.float64)


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InvalidParameter(f"A confidence lies between 0 and 1, not at {confidence}.")
    return (1 - confidence) / 2


def _bounds(ratios: FloatArray, tail: float) -> tuple[float, float]:
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_medians(ordered: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw medians of bootstrap samples without drawing the samples.

    Parameters
    ----------
    ordered : ndarray, shape (n,), float64
        Values, ascending.
    rng : Generator
        Source of chance.

    Returns
    -------
    ndarray, shape (RESAMPLES,), float64
        Medians, distributed as those of n values drawn with replacement.

    Source
    ------
    The k-th of n uniform draws follows Beta(k, n + 1 - k); above it lie n - k uniform draws,
    the least of which follows Beta(1, n - k) (H. A. David, Order Statistics, 1970).
    """
    n = len(ordered)
    rank = (n + 1) // 2
    lower = rng.beta(rank, n + 1 - rank, RESAMPLES)
    upper = lower if n % 2 else lower + (1 - lower) * rng.beta(1, n - rank, RESAMPLES)
    medians: FloatArray = (_picked(ordered, lower) + _picked(ordered, upper)) / 2
    return medians


def _picked(ordered: FloatArray, position: FloatArray) -> FloatArray:
    n = len(ordered)
    picked: FloatArray = ordered[np.minimum((n * position).astype(np.intp), n - 1)]
    return picked
