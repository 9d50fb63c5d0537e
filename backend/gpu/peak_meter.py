"""How much a batch makes this process's memory on the device grow."""

from __future__ import annotations

import threading

from backend.gpu.torch_telemetry import cuda_in_use
from backend.units import MB

_in_use = threading.Lock()


class PeakMeter:
    """Growth since it was made; torch keeps one peak for the process, so one at a time knows."""

    def __init__(self) -> None:
        cuda = cuda_in_use()
        self._cuda = cuda if cuda is not None and _in_use.acquire(blocking=False) else None
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()
            self._allocated = self._cuda.memory_allocated()
            self._reserved = self._cuda.memory_reserved()

    def growth_mb(self) -> float | None:
        """Return the larger growth: of what tensors use, and of what was taken from the driver.

        What earlier batches left in the cache is reserved already, so the second alone may be
        nothing. None without a GPU in use, and beside another measurement.
        """
        if self._cuda is None:
            return None
        allocated = self._cuda.max_memory_allocated() - self._allocated
        reserved = self._cuda.max_memory_reserved() - self._reserved
        return float(max(0, allocated, reserved) / MB)

    def close(self) -> None:
        """Let the next measurement know its memory."""
        if self._cuda is not None:
            self._cuda = None
            _in_use.release()
