"""Where a stage stands beside the peaks of the device."""

from __future__ import annotations

from dataclasses import dataclass

from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.stage_evidence import StageEvidence
from backend.profiling.gains import Bound, Roofline, roofline


@dataclass(frozen=True)
class Standing:
    """How far a stage is from the roof.

    Parameters
    ----------
    mfu : float
        Operations done over operations possible in its time on the device, 0 to 1.
    bandwidth_share : float
        Bytes it must move over bytes that could be moved in that time, 0 to 1.
    """

    roof: Roofline
    mfu: float
    bandwidth_share: float

    @property
    def is_memory_bound(self) -> bool:
        """Whether it does fewer operations per byte than the device's ridge."""
        return self.roof.bound is Bound.MEMORY


def standing(evidence: Evidence, stage: StageEvidence) -> Standing | None:
    """Compare a stage with the peak of the type it computes in.

    Returns
    -------
    Standing or None
        None where work, peaks or the type are unknown, or where they contradict the time.
    """
    work, peaks, matmul = stage.work, evidence.peaks, stage.matmul
    if work is None or peaks is None:
        return None
    dtype = work.dtype or (matmul.dtype if matmul else None)
    if dtype is None:
        return None
    roof = roof_in(evidence, stage, dtype, 1.0)
    # Below 1 the stage would be faster than the device can be: a count or a peak is wrong.
    if roof is None or roof.factor_max < 1:
        return None
    mfu = work.flop / (work.gpu_s * peaks.flop_per_s[dtype])
    return Standing(roof, mfu, work.moved_bytes / (work.gpu_s * peaks.bytes_per_s))


def roof_in(evidence: Evidence, stage: StageEvidence, dtype: str, shrink: float) -> Roofline | None:
    """Bound the stage as if it computed in ``dtype`` and moved ``1 / shrink`` of the bytes."""
    work, peaks = stage.work, evidence.peaks
    peak = peaks.flop_per_s.get(dtype) if peaks else None
    if work is None or peaks is None or peak is None or work.gpu_s <= 0:
        return None
    if max(work.flop, work.moved_bytes) <= 0:
        return None
    return roofline(work.gpu_s, work.flop, work.moved_bytes / shrink, peak, peaks.bytes_per_s)
