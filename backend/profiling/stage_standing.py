"""How near a stage comes to what its device can do, and what holds it back, in one word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any, Protocol

from backend.profiling.run_summary import RunStage
from backend.profiling.spans import SpanKind

# Below this part of both peaks neither arithmetic nor memory can be what takes the time.
LAUNCH_BOUND_BELOW = 0.1
WAITING_BELOW = 0.5


class RoofPeaks(Protocol):
    """Peaks of a device; ``GpuPeak`` and ``DevicePeaks`` are such."""

    @property
    def flop_per_s(self) -> Mapping[str, float]:
        """Operations a second by what products compute in."""

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes a second to and from the device's memory."""


class StageBound(StrEnum):
    """What a stage's time on the GPU goes into.

    ``waiting``: the GPU had work of the stage for less than half of the stage's wall time.
    ``launch_bound``: it had work, but neither arithmetic nor memory reached a tenth of its peak,
    so the time lies between or within small kernels. ``compute_bound`` and ``memory_bound``: of
    the rest, whichever of the two is nearer to its peak.
    """

    COMPUTE = "compute_bound"
    MEMORY = "memory_bound"
    LAUNCH = "launch_bound"
    WAITING = "waiting"


@dataclass(frozen=True)
class StageStanding:
    """A stage beside the peaks of its device; what is not known is None.

    Parameters
    ----------
    flop_per_s, bytes_per_s : float or None
        Reached in its time on the GPU; bytes are those it must move at least.
    mfu : float or None
        Model FLOPs utilisation: operations over those possible in that time, 0 to 1.
    bandwidth_share : float or None
        The same for bytes, 0 to 1.
    intensity : float or None
        Operations per byte.
    """

    flop_per_s: float | None
    bytes_per_s: float | None
    mfu: float | None
    bandwidth_share: float | None
    intensity: float | None
    bound: StageBound | None


def standing_of(stage: RunStage, peaks: RoofPeaks | None) -> StageStanding | None:
    """Compare a stage with the peaks of its device.

    Parameters
    ----------
    peaks : RoofPeaks or None
        At the clock the device ran at, if that is known; None for an unknown device.

    Returns
    -------
    StageStanding or None
        None without a time on the GPU, as on a processor. Shares of more than the whole are
        not told: then a count or a peak is wrong.

    Source
    ------
    S. Williams, A. Waterman and D. Patterson, Roofline (2009). MFU: A. Chowdhery et al., PaLM
    (2022), section 4.1.
    """
    if stage.gpu_s is None or stage.gpu_s <= 0:
        return None
    flop_per_s = None if stage.flop is None else stage.flop / stage.gpu_s
    bytes_per_s = None if stage.moved_bytes is None else stage.moved_bytes / stage.gpu_s
    peak = peaks.flop_per_s.get(stage.dtype or "") if peaks else None
    mfu = _share(flop_per_s, peak)
    bandwidth_share = _share(bytes_per_s, peaks.bytes_per_s if peaks else None)
    return StageStanding(
        flop_per_s,
        bytes_per_s,
        mfu,
        bandwidth_share,
        stage.flop / stage.moved_bytes if stage.flop is not None and stage.moved_bytes else None,
        _bound(stage, stage.gpu_s, mfu, bandwidth_share),
    )


def usual_stage(entries: Sequence[Mapping[str, Any]]) -> RunStage:
    """Sum up one stage of like runs on one device.

    Parameters
    ----------
    entries : sequence of mapping
        JSON-ready ``RunStage``, newest run first, at least one.

    Returns
    -------
    RunStage
        Medians; of the runs that computed in the same type as the newest whose work is known,
        if there are any. Share and peak are left open.
    """
    known = [entry for entry in entries if _has_work(entry)]
    alike = [entry for entry in known if entry["dtype"] == known[0]["dtype"]] or entries
    return RunStage(
        name=entries[0]["name"],
        kind=entries[0]["kind"],
        elapsed_s=median(entry["elapsed_s"] for entry in alike),
        share_pct=None,
        gpu_s=_median(alike, "gpu_s"),
        peak_mb=None,
        flop=_median(known and alike, "flop"),
        moved_bytes=_median(known and alike, "moved_bytes"),
        dtype=known[0]["dtype"] if known else None,
    )


def _has_work(entry: Mapping[str, Any]) -> bool:
    return all(entry.get(name) is not None for name in ("gpu_s", "flop", "moved_bytes"))


def _median(entries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [entry[name] for entry in entries if entry.get(name) is not None]
    return median(values) if values else None


def _share(rate: float | None, peak: float | None) -> float | None:
    if rate is None or peak is None or rate > peak:
        return None
    return rate / peak


def _bound(
    stage: RunStage, gpu_s: float, mfu: float | None, bandwidth_share: float | None
) -> StageBound | None:
    if stage.kind == SpanKind.GPU and gpu_s < WAITING_BELOW * stage.elapsed_s:
        return StageBound.WAITING
    # A stage without products has no use for the arithmetic peak of any type.
    arithmetic = 0.0 if stage.flop == 0 else mfu
    if arithmetic is None or bandwidth_share is None:
        return None
    if max(arithmetic, bandwidth_share) < LAUNCH_BOUND_BELOW:
        return StageBound.LAUNCH
    return StageBound.COMPUTE if arithmetic >= bandwidth_share else StageBound.MEMORY
