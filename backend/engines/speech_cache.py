"""The cache of what recordings come to, as speech engines share it, and what it saved a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backend.residency.guest.stage_cache import StageCache
from backend.settings import Settings
from backend.units import MB


class Saved:
    """What the cache did during a block.

    Attributes
    ----------
    facts : dict
        ``hits``, ``misses`` and ``saved_s`` (what the results had taken when they were computed),
        known when the block is over. Jobs of other processes at the same time count too.
    """

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}


def stage_cache(settings: Settings) -> StageCache:
    """Return the cache that hosted programs of this server use."""
    return StageCache(settings.stage_cache_dir, settings.stage_cache_mb * MB)


def cache_facts(settings: Settings) -> dict[str, Any]:
    """Describe the cache, JSON-ready: entries, size, limit, hits, misses, seconds saved."""
    counts = stage_cache(settings).statistics()
    return {
        "entries": counts["entries"],
        "size_mb": round(counts["bytes"] / MB, 3),
        "limit_mb": settings.stage_cache_mb,
        "hits": counts["hits"],
        "misses": counts["misses"],
        "saved_s": counts["saved_s"],
    }


@contextmanager
def saved_in(settings: Settings) -> Iterator[Saved]:
    """Count what the cache does inside the block."""
    saved, cache = Saved(), stage_cache(settings)
    before = cache.statistics()
    yield saved
    after = cache.statistics()
    saved.facts = {
        "hits": after["hits"] - before["hits"],
        "misses": after["misses"] - before["misses"],
        "saved_s": round(after["saved_s"] - before["saved_s"], 3),
    }
