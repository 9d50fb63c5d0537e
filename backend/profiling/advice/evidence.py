"""Everything a rule may look at; what was not measured is None, and then its rules are silent.

All times are medians per job unless they say otherwise; shares lie between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.profiling.advice.stage_evidence import StageEvidence
from backend.profiling.experiment import Value
from backend.profiling.spans import SpanKind


@dataclass(frozen=True)
class JobTimes:
    """The run of a job without its wait in the queue, over ``n`` runs of like work."""

    total_s: float
    n: int
    window: str | None = None


@dataclass(frozen=True)
class DevicePeaks:
    """Peaks of the device: operations per second by dtype, and bytes per second."""

    flop_per_s: Mapping[str, float]
    bytes_per_s: float


@dataclass(frozen=True)
class GpuSamples:
    """Samples of the device while it was busy.

    Parameters
    ----------
    busy_samples : int
        How many there are.
    throttled : mapping
        Per reason the share of them in which the clock was held down.
    clock_mhz, clock_max_mhz : float or None
        Mean clock under load, and the highest seen under load.
    others_mb : float or None
        Memory that other programs hold.
    """

    busy_samples: int
    throttled: Mapping[str, float] = field(default_factory=dict)
    clock_mhz: float | None = None
    clock_max_mhz: float | None = None
    pcie_gen: int | None = None
    pcie_gen_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    others_mb: float | None = None
    total_mb: float | None = None


@dataclass(frozen=True)
class CopyFigures:
    """Copies to the device per job, and what a page-locked copy reaches here."""

    bytes_per_job: float
    bytes_per_s: float
    pinned_bytes_per_s: float | None = None
    free_host_bytes: float | None = None


@dataclass(frozen=True)
class ResidencyFigures:
    """Moves of models over the last ``n`` jobs.

    Parameters
    ----------
    grouped_swaps_per_job : float or None
        The same queue replayed with jobs of one model in a row.
    swap_s : float or None
        One swap.
    gaps_s : tuple of float
        Idle time before each job of a model.
    restore_s : float or None
        To bring an offloaded model back.
    all_fit : bool or None
        Whether all models in use fit on the device together.
    cold_jobs : float or None
        Share of jobs in which load and warm-up take at least a quarter of the wall time.
    load_s : float or None
        Load and warm-up in those jobs.
    """

    n: int
    models: int | None = None
    swaps_per_job: float | None = None
    grouped_swaps_per_job: float | None = None
    swap_s: float | None = None
    gaps_s: tuple[float, ...] = ()
    idle_offload_s: float | None = None
    restore_s: float | None = None
    all_fit: bool | None = None
    cold_jobs: float | None = None
    load_s: float | None = None


@dataclass(frozen=True)
class QueueFigures:
    """The queue over the last ``n`` jobs: median wait, jobs waiting on average, arrivals."""

    n: int
    wait_s: float
    waiting: float | None = None
    arrivals_per_s: float | None = None
    gpu_busy: float | None = None


@dataclass(frozen=True)
class BatchFigures:
    """Seconds of a whole batch of the present size and of a larger one that was tried."""

    size: int
    batch_s: float
    larger_size: int
    larger_batch_s: float
    fits: bool | None
    n: int


@dataclass(frozen=True)
class AllocatorFigures:
    """The allocator over ``n`` jobs; ``retry_s`` is time lost in retries per job."""

    n: int
    alloc_retries: int | None = None
    out_of_memory: int | None = None
    retry_s: float | None = None
    inactive_split_bytes: int | None = None
    reserved_bytes: int | None = None
    peak_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class CacheClearingFigures:
    """Seconds per job spent to empty the allocator's cache and to fill it again."""

    n: int
    clearing_s: float
    refill_s: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """What is known; ``settings`` are those in force, by name."""

    job: JobTimes | None = None
    stages: tuple[StageEvidence, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    peaks: DevicePeaks | None = None
    gpu: GpuSamples | None = None
    copies: CopyFigures | None = None
    residency: ResidencyFigures | None = None
    queue: QueueFigures | None = None
    batch: BatchFigures | None = None
    allocator: AllocatorFigures | None = None
    cache_clearing: CacheClearingFigures | None = None

    @property
    def top_stages(self) -> tuple[StageEvidence, ...]:
        """The stages of the job itself, without those inside them."""
        return tuple(stage for stage in self.stages if stage.parent is None)

    def share_of(self, kind: SpanKind) -> float:
        """Add up the shares of one kind; what a stage holds inside counts there, and once."""
        inside: dict[str, float] = {}
        for stage in self.stages:
            if stage.parent is not None:
                inside[stage.parent] = inside.get(stage.parent, 0.0) + stage.share
        own = (s.share - inside.get(s.name, 0.0) for s in self.stages if s.kind is kind)
        return math.fsum(max(0.0, share) for share in own)
