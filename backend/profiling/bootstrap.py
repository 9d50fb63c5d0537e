"""Bootstrap intervals of medians; imported where one is worked out, for numpy is slow to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000

FloatArray = NDArray[np.float64]


def bounds_of_ratio(
    before: Sequence[float], after: Sequence[float], tail: float, seed: int
) -> tuple[float, float]:
    """Bound median(after) / median(before).

    Parameters
    ----------
    before, after : sequence of float
        Ascending; the groups are independent and may differ in size.
    tail : float
        Chance that the ratio lies below, and the same above, 0 to 0.5.
    seed : int
        Not negative; the same seed and values give the same bounds.

    Source
    ------
    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), percentile interval.
    """
    rng = np.random.default_rng(seed)
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    return _bounds(resampled_medians(new, rng) / resampled_medians(old, rng), tail)


def bounds_of_median(values: Sequence[float], tail: float, seed: int) -> tuple[float, float]:
    """Bound the median of ascending values; see `bounds_of_ratio`."""
    ordered = np.asarray(values, dtype=np.float64)
    return _bounds(resampled_medians(ordered, np.random.default_rng(seed)), tail)


def resampled_medians(ordered: FloatArray, rng: np.random.Generator) -> FloatArray:
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


def coin(seed: int, number: int) -> bool:
    """Toss a coin; the same seed and number always fall the same way."""
    return bool(np.random.default_rng([seed, number]).integers(2))


def _bounds(ratios: FloatArray, tail: float) -> tuple[float, float]:
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _picked(ordered: FloatArray, position: FloatArray) -> FloatArray:
    n = len(ordered)
    picked: FloatArray = ordered[np.minimum((n * position).astype(np.intp), n - 1)]
    return picked
