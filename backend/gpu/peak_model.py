"""How the peak memory of a stage grows with the batch: a straight line, fitted to measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

LEAST_TIMINGS, MANY_POINTS = 3, 20


class BatchOutcome(StrEnum):
    """How a batch ended."""

    OK = "ok"
    OUT_OF_MEMORY = "oom"


@dataclass(frozen=True)
class BatchSample:
    """One batch that was run.

    Parameters
    ----------
    peak_mb : float or None
        Growth of reserved memory over the start of the stage, so that weights, which are
        there already, do not count; None when it was not measured.
    free_mb : float or None
        Free on the device when the batch began.
    steps : int or None
        Denoising steps, which cost time, not memory; None when unknown.
    """

    batch_size: int
    elapsed_s: float
    peak_mb: float | None = None
    free_mb: float | None = None
    outcome: BatchOutcome = BatchOutcome.OK
    steps: int | None = None


class Basis(StrEnum):
    """Where a peak model comes from, best first."""

    MEASURED = "measured"
    ONE_SIZE = "measured at one size"
    OTHER_RESOLUTION = "scaled from another resolution"
    PRIOR = "counted without a device"
    BUILT_IN = "built-in guess"


@dataclass(frozen=True)
class PeakModel:
    """peak(b) = fixed + per_item * b, in MB.

    Parameters
    ----------
    residual_mb : float
        Distance from the line within which 95 % of the measurements lie; all, below twenty.
    points, sizes, largest : int
        Measurements behind it, different sizes among them, the largest size that succeeded.
    """

    fixed_mb: float
    per_item_mb: float
    basis: Basis
    residual_mb: float = 0.0
    points: int = 0
    sizes: int = 0
    largest: int = 0

    def peak_mb(self, batch_size: int) -> float:
        """Predict the peak of a batch."""
        return self.fixed_mb + self.per_item_mb * batch_size

    def largest_within(self, room_mb: float) -> int:
        """Return the largest batch whose peak stays within ``room_mb``, 0 if none does."""
        if self.per_item_mb <= 0:
            return max(1, self.largest) if self.fixed_mb <= room_mb else 0
        return max(0, int((room_mb - self.fixed_mb) // self.per_item_mb))


def fit(samples: Sequence[BatchSample]) -> PeakModel | None:
    """Fit the line to the batches that succeeded; None without a measured peak.

    With one size only, all of the peak is taken as growing with the batch, which errs on the
    safe side when the batch is made larger.

    Source
    ------
    Theil-Sen: the median of the slopes of all pairs, which single outliers cannot move.
    """
    good = [s for s in samples if s.outcome is BatchOutcome.OK and s.peak_mb is not None]
    if not good:
        return None
    points = [(s.batch_size, float(s.peak_mb or 0.0)) for s in good]
    sizes = sorted({size for size, _ in points})
    if len(sizes) == 1:
        slope, fixed, basis = max(p / b for b, p in points), 0.0, Basis.ONE_SIZE
    else:
        slopes = [(q - p) / (c - b) for (b, p), (c, q) in combinations(points, 2) if b != c]
        slope = max(0.0, statistics.median(slopes))
        fixed = max(0.0, statistics.median(p - slope * b for b, p in points))
        basis = Basis.MEASURED
    residual = _most(sorted(abs(p - fixed - slope * b) for b, p in points))
    return PeakModel(fixed, slope, basis, residual, len(points), len(sizes), sizes[-1])


def out_of_memory_cap(
    samples: Sequence[BatchSample], free_mb: float, expires_after: int = 10
) -> int | None:
    """Return the largest size below one that failed with at least as much memory free.

    Parameters
    ----------
    samples : sequence of BatchSample
        Oldest first.
    expires_after : int
        So many later successes at the cap, or above it, make it worth another try.

    Returns
    -------
    int or None
        0 when even one item failed; None when nothing stands against trying.
    """
    failed = [
        (s.batch_size, index)
        for index, s in enumerate(samples)
        if s.outcome is BatchOutcome.OUT_OF_MEMORY and (s.free_mb is None or s.free_mb >= free_mb)
    ]
    standing = []
    for size, index in failed:
        later = [s for s in samples[index + 1 :] if s.outcome is BatchOutcome.OK]
        if sum(s.batch_size >= max(1, size - 1) for s in later) < expires_after:
            standing.append(size)
    return min(standing) - 1 if standing else None


def knee(samples: Sequence[BatchSample], tolerance: float = 0.05) -> int | None:
    """Return the smallest size whose throughput is within 5 % of the best.

    None while the largest size measured is still the best: it is not reached yet. A size counts
    from its third batch on, and its first does not: it may have compiled or tuned something.
    """
    rates: dict[int, list[float]] = {}
    for s in samples:
        if s.outcome is BatchOutcome.OK and s.elapsed_s > 0:
            rates.setdefault(s.batch_size, []).append(s.batch_size * (s.steps or 1) / s.elapsed_s)
    typical = {
        size: statistics.median(values[1:])
        for size, values in rates.items()
        if len(values) >= LEAST_TIMINGS
    }
    if len(typical) < 2:
        return None
    best = max(typical.values())
    size = min(size for size, rate in typical.items() if rate >= (1 - tolerance) * best)
    return size if size < max(typical) else None


def _most(distances: list[float]) -> float:
    """Return the largest, or from twenty on the 95th percentile: one freak must not rule."""
    if len(distances) < MANY_POINTS:
        return distances[-1]
    return distances[int(0.95 * (len(distances) - 1))]
