"""Giving unused cache back to the driver, only when there is something to gain."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.gpu.torch_telemetry import cuda_in_use
from backend.units import MB, Clock


class Occasion(StrEnum):
    """Why one might clear."""

    ROUTINE = "routine"
    OUT_OF_MEMORY = "out of memory"
    MODEL_SWITCH = "model switch"
    IDLE = "idle"
    ASKED = "asked"


@dataclass(frozen=True)
class CacheReading:
    """What the allocator holds, in MB."""

    total_mb: float
    free_mb: float
    reserved_mb: float
    allocated_mb: float

    @property
    def unused_mb(self) -> float:
        """Held without use."""
        return self.reserved_mb - self.allocated_mb


class ClearingRule:
    """When clearing is worth it.

    Parameters
    ----------
    threshold : float
        Share of the device that reserved memory has to exceed on a routine look.
    hysteresis : float
        After a clear the share has to fall below the threshold by this much first.
    least_mb : float
        Less unused cache than this is never worth it.
    cache_share : float
        Unused cache above this share of the free memory is worth it on a routine look.
    """

    def __init__(
        self,
        threshold: float = 0.8,
        hysteresis: float = 0.1,
        least_mb: float = 512.0,
        cache_share: float = 0.25,
    ) -> None:
        self._threshold = threshold
        self._hysteresis = hysteresis
        self._least_mb = least_mb
        self._cache_share = cache_share
        self._armed = True

    def reason(
        self, reading: CacheReading, occasion: Occasion, *, capturing: bool = False
    ) -> str | None:
        """Return why to clear now, or None.

        Parameters
        ----------
        capturing : bool
            A CUDA graph is being captured, during which the allocator must be left alone.
        """
        if capturing or reading.unused_mb <= 0:
            return None
        if occasion in (Occasion.OUT_OF_MEMORY, Occasion.ASKED):
            return occasion.value
        share = reading.reserved_mb / reading.total_mb
        if share < self._threshold - self._hysteresis:
            self._armed = True
        if reading.unused_mb < self._least_mb:
            return None
        if occasion in (Occasion.MODEL_SWITCH, Occasion.IDLE):
            return occasion.value
        if reading.unused_mb > self._cache_share * max(reading.free_mb, 1.0):
            return "much cache beside little free memory"
        if share > self._threshold and self._armed:
            self._armed = False
            return f"{100 * share:.0f} % of the memory is reserved"
        return None


class CacheClearer:
    """Clears torch's cache, counts how often and how long.

    Attributes
    ----------
    clears : int
    spent_s : float
    """

    def __init__(self, clock: Clock, rule: ClearingRule | None = None) -> None:
        self._clock = clock
        self._rule = rule or ClearingRule()
        self.clears = 0
        self.spent_s = 0.0

    def clear(self, occasion: Occasion = Occasion.ASKED, *, least_mb: float = 0.0) -> float | None:
        """Collect garbage, then give unused cache back if it is worth it.

        Parameters
        ----------
        least_mb : float
            Leave less unused cache than this alone.

        Returns
        -------
        float or None
            MB by which the device's free memory grew; 0.0 when it was not worth it, None when
            this process does not compute on a GPU.
        """
        cuda = cuda_in_use()
        if cuda is None:
            return None
        gc.collect()
        before = _read(cuda)
        capturing = bool(cuda.is_current_stream_capturing())
        worth_it = before.unused_mb >= least_mb
        if not worth_it or self._rule.reason(before, occasion, capturing=capturing) is None:
            return 0.0
        started_s = self._clock.monotonic_s()
        cuda.empty_cache()
        self.spent_s += self._clock.monotonic_s() - started_s
        self.clears += 1
        return max(0.0, _read(cuda).free_mb - before.free_mb)


def _read(cuda: Any) -> CacheReading:
    free, total = cuda.mem_get_info()
    reserved, allocated = cuda.memory_reserved(), cuda.memory_allocated()
    return CacheReading(total / MB, free / MB, reserved / MB, allocated / MB)
