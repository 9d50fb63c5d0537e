"""What whole profiles tell that their summaries do not: the allocator, and cleared caches."""

from __future__ import annotations

from collections.abc import Sequence

from backend.profiling.advice.evidence import AllocatorFigures, CacheClearingFigures
from backend.profiling.spans import PipelineProfile, ProfileStatus
from backend.units import MB

CLEARING_SPAN = "clear_cache"


def allocator_figures(
    profiles: Sequence[PipelineProfile], total_mb: float | None
) -> AllocatorFigures | None:
    """Sum up the allocator's health, the newest run first.

    Parameters
    ----------
    total_mb : float or None
        Memory of the device.

    Returns
    -------
    AllocatorFigures or None
        Failures of all these runs, and the levels at the end of the newest; None where no run
        used torch on a GPU.
    """
    told = [profile for profile in profiles if profile.allocator]
    if not told:
        return None
    newest = told[0].allocator or {}
    return AllocatorFigures(
        n=len(told),
        alloc_retries=_sum(told, "alloc_retries"),
        out_of_memory=_sum(told, "out_of_memory"),
        inactive_split_bytes=newest.get("inactive_split_bytes"),
        reserved_bytes=newest.get("reserved_bytes"),
        peak_bytes=max((p.peak_bytes for p in told if p.peak_bytes is not None), default=None),
        total_bytes=None if total_mb is None else round(total_mb * MB),
    )


def cache_clearing_figures(profiles: Sequence[PipelineProfile]) -> CacheClearingFigures | None:
    """Return the mean time per run in which caches were cleared; None where none was."""
    spent_s = [
        sum(span.elapsed_s or 0.0 for span in profile.spans if span.name == CLEARING_SPAN)
        for profile in profiles
        if profile.status is ProfileStatus.OK
    ]
    if not any(spent_s):
        return None
    return CacheClearingFigures(len(spent_s), sum(spent_s) / len(spent_s))


def _sum(profiles: Sequence[PipelineProfile], name: str) -> int | None:
    counts = [(profile.allocator or {}).get(name) for profile in profiles]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
