"""Advice on the use of the device, each with the figures behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.gpu.memory_profile import GPUMemoryProfile
from backend.gpu.memory_trend import MemoryTrend

LOW_USE_PCT, HIGH_USE_PCT, FULL_PCT = 50.0, 85.0, 95.0
MUCH_CACHE_MB, MUCH_CACHE_SHARE = 512.0, 0.25
MUCH_BY_OTHERS_MB = 1024.0


@dataclass(frozen=True)
class Advice:
    """One piece of advice.

    Parameters
    ----------
    text : str
        For a person, with its figures.
    evidence : dict
        The figures, by name with units.
    setting : str or None
        What to change, if it can be set.
    """

    code: str
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)
    setting: str | None = None


def advise(memory: GPUMemoryProfile, trend: MemoryTrend | None, queue_size: int) -> list[Advice]:
    """Say what the figures suggest; nothing where they suggest nothing."""
    if memory.utilization_percent is None or memory.total_mb is None:
        why = memory.reason_unavailable or "no device was found"
        if memory.name is not None:
            return [Advice("memory-unknown", f"No advice on memory: {why}.")]
        return [Advice("cpu-mode", f"No GPU is in use ({why}): jobs run on the processor.")]
    rules = (_underused(memory, queue_size), _full(memory, trend), _cache(memory), _others(memory))
    return [advice for advice in rules if advice is not None]


def should_reduce_batch(memory: GPUMemoryProfile, trend: MemoryTrend | None) -> bool:
    """Whether batches should shrink: memory nearly full, or filling up."""
    used_pct = memory.utilization_percent
    if used_pct is None:
        return False
    rising = trend is not None and trend.is_rising
    return used_pct > FULL_PCT or (rising and used_pct > HIGH_USE_PCT)


def _underused(memory: GPUMemoryProfile, queue_size: int) -> Advice | None:
    used_pct = memory.utilization_percent or 0.0
    if used_pct >= LOW_USE_PCT or queue_size < 2:
        return None
    return Advice(
        "gpu-underused",
        f"⚡ GPU underutilized - increase batch size ({used_pct:.1f} % of the memory is in use, "
        f"{queue_size} jobs wait)",
        {"utilization_percent": round(used_pct, 1), "queue_size": queue_size},
        "batch_size",
    )


def _full(memory: GPUMemoryProfile, trend: MemoryTrend | None) -> Advice | None:
    if not should_reduce_batch(memory, trend):
        return None
    used_pct = memory.utilization_percent or 0.0
    rising = " and rising" if trend is not None and trend.is_rising else ""
    return Advice(
        "memory-nearly-full",
        f"⚠️ {used_pct:.1f} % of the GPU's memory is in use{rising} - reduce batch size or offload "
        "idle models",
        {"utilization_percent": round(used_pct, 1), "free_mb": memory.free_mb},
        "batch_size",
    )


def _cache(memory: GPUMemoryProfile) -> Advice | None:
    cached_mb, free_mb = memory.cached_mb, memory.free_mb
    if cached_mb is None or free_mb is None or cached_mb < MUCH_CACHE_MB:
        return None
    if cached_mb <= MUCH_CACHE_SHARE * free_mb:
        return None
    return Advice(
        "cache-large",
        f"🧹 {cached_mb:.0f} MB are cached without use while {free_mb:.0f} MB are free - "
        "clear the cache before another program needs the memory",
        {"cached_mb": cached_mb, "free_mb": free_mb},
    )


def _others(memory: GPUMemoryProfile) -> Advice | None:
    if memory.others_mb is None or memory.others_mb < MUCH_BY_OTHERS_MB:
        return None
    return Advice(
        "memory-held-by-others",
        f"👥 Other programs hold {memory.others_mb:.0f} of {memory.total_mb:.0f} MB - close them "
        "for larger batches or resident models",
        {"others_mb": memory.others_mb, "total_mb": memory.total_mb},
    )
