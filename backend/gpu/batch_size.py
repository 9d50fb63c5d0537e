"""How many items one batch may hold, and how sure we are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.errors import InvalidParameter
from backend.gpu.memory_profile import GPUMemoryProfile
from backend.gpu.peak_model import (
    Basis,
    BatchOutcome,
    BatchSample,
    PeakModel,
    knee,
    out_of_memory_cap,
)

GROWTH = 2
GOOD_RESIDUAL, FAIR_RESIDUAL, FEW_POINTS = 0.05, 0.10, 3


class Confidence(StrEnum):
    """How far a recommendation can be trusted."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True)
class Margins:
    """What is left free.

    Parameters
    ----------
    fraction : float
        Most of the device that one batch may take.
    reserve_mb, reserve_share, residuals : float
        Kept free: the largest of a fixed size, a share of the device, and a multiple of the
        fit's largest error.
    """

    fraction: float = 0.9
    reserve_mb: float = 512.0
    reserve_share: float = 0.05
    residuals: float = 3.0

    def reserve_for(self, total_mb: float, residual_mb: float) -> float:
        """Return what is kept free on a device, in MB."""
        shares = (self.reserve_share * total_mb, self.residuals * residual_mb)
        return max(self.reserve_mb, *shares)


NO_MARGINS = Margins(fraction=1.0, reserve_mb=0.0, reserve_share=0.0, residuals=0.0)


@dataclass(frozen=True)
class BatchSizeRecommendation:
    """How large a batch should be.

    Parameters
    ----------
    recommended_size : int
        At least 1. Keeps the device at or below its target, grows at most twofold, is no larger
        than the queue or than what still gains throughput.
    max_safe_size : int
        The largest that fits beside the margins; 0 when not even one item is sure to fit.
    estimated_vram_per_image : float or None
        What one more item costs, in MB.
    """

    recommended_size: int
    max_safe_size: int
    estimated_vram_per_image: float | None
    confidence: Confidence
    reasoning: str
    basis: Basis | None = None
    estimated_s: float | None = None


def recommend(
    memory: GPUMemoryProfile,
    model: PeakModel,
    samples: Sequence[BatchSample],
    *,
    queue_size: int,
    target_utilization: float,
    margins: Margins,
    steps: int = 1,
) -> BatchSizeRecommendation:
    """Recommend a batch size.

    Notes
    -----
    With free memory F, total T, used U, reserve R and peak(b) = a + k b:
    the largest safe b has a + k b <= min(F, fraction T - what this process holds) - R; the
    recommended b also has a + k b <= target T - U, so that the device as a whole ends at or
    below its target. Cache of our own is as good as free. While only one size was measured, one
    more than that is tried, else it would never be known how memory grows.
    For T, U, F = 24576, 8192, 16384 MB, a = 0, k = 2000 MB, target 0.85 and no margins
    that is 8 and 6.

    Raises
    ------
    InvalidParameter
        The queue is negative.
    """
    if queue_size < 0 or steps < 1:
        raise InvalidParameter("A queue has no negative length, and a run at least one step.")
    room_mb = memory.available_for_processing
    if memory.total_mb is None or memory.used_mb is None or room_mb is None:
        return _without_device(memory, model)
    reserve_mb = margins.reserve_for(memory.total_mb, model.residual_mb)
    own_mb = memory.allocated_mb or 0.0
    safe_mb = min(room_mb, margins.fraction * memory.total_mb - own_mb) - reserve_mb
    target_mb = target_utilization * memory.total_mb - memory.used_mb + (memory.cached_mb or 0.0)
    cap = out_of_memory_cap(samples, room_mb)
    largest = _within(model, safe_mb)
    largest = largest if cap is None else min(largest, cap)
    limits = {
        "the free memory": largest,
        "the target": _within(model, target_mb),
        "the queue": queue_size,
        "growth from what was seen": GROWTH * _largest_success(samples) or 1,
    }
    best = knee(samples)
    if best is not None:
        limits["throughput"] = best
    reason, size = min(limits.items(), key=lambda limit: limit[1])
    size = max(1, size)
    return BatchSizeRecommendation(
        size,
        largest,
        model.per_item_mb,
        _confidence(model, size),
        _explain(memory, model, reason, reserve_mb, fits=largest >= 1),
        model.basis,
        estimate_s(samples, size, steps),
    )


def estimate_s(samples: Sequence[BatchSample], size: int, steps: int) -> float | None:
    """Estimate how long a batch takes, from the nearest size measured with known steps."""
    good = [
        (s.batch_size, s.elapsed_s / s.steps)
        for s in samples
        if s.outcome is BatchOutcome.OK and s.steps is not None
    ]
    if not good:
        return None
    nearest = min({batch for batch, _ in good}, key=lambda b: abs(b - size))
    per_step = statistics.median(each for batch, each in good if batch == nearest)
    return per_step * steps * size / nearest


def _within(model: PeakModel, room_mb: float) -> int:
    """Return the largest batch within some memory, with one step into the unknown."""
    size = model.largest_within(room_mb)
    probing = model.basis is Basis.ONE_SIZE and model.points >= FEW_POINTS
    if probing and model.peak_mb(model.largest) <= room_mb:
        return max(size, model.largest + 1)
    return size


def _largest_success(samples: Sequence[BatchSample]) -> int:
    return max((s.batch_size for s in samples if s.outcome is BatchOutcome.OK), default=0)


def _confidence(model: PeakModel, size: int) -> Confidence:
    measured = model.basis in (Basis.MEASURED, Basis.ONE_SIZE)
    if not measured or size > GROWTH * model.largest:
        return Confidence.LOW
    share = model.residual_mb / max(model.peak_mb(model.largest), 1e-9)
    enough = model.points >= FEW_POINTS and model.sizes >= 2
    if enough and share <= GOOD_RESIDUAL and size <= model.largest:
        return Confidence.HIGH
    return Confidence.MEDIUM if model.sizes >= 2 or share <= FAIR_RESIDUAL else Confidence.LOW


def _explain(
    memory: GPUMemoryProfile, model: PeakModel, reason: str, reserve_mb: float, *, fits: bool
) -> str:
    line = f"{model.fixed_mb:.0f} MB and {model.per_item_mb:.0f} MB for each item"
    measured = f", {model.points} batches" if model.points else ""
    tight = "" if fits else " Not even one item is sure to fit."
    return (
        f"{memory.free_mb:.0f} of {memory.total_mb:.0f} MB are free, {reserve_mb:.0f} MB are kept "
        f"free; a batch takes {line} ({model.basis}{measured}). Limited by {reason}.{tight}"
    )


def _without_device(memory: GPUMemoryProfile, model: PeakModel) -> BatchSizeRecommendation:
    why = memory.reason_unavailable or "its memory cannot be read"
    where = "Without a GPU" if memory.name is None else "Without knowing its memory"
    return BatchSizeRecommendation(
        1, 1, model.per_item_mb if model.points else None, Confidence.NONE,
        f"{where} one item is run at a time ({why}).",
    )  # fmt: skip
