"""How much a batch makes this process's memory on the device grow."""

from __future__ import annotations

from backend.profiling.memory_peaks import PEAKS
from backend.profiling.torch_in_use import cuda_in_use
from backend.units import MB


class PeakGrowth:
    """Growth since it was made; any number may overlap.

    What earlier batches left in the cache is reserved already, so the growth of reserved memory
    alone may be nothing: the larger of the two growths counts.
    """

    def __init__(self) -> None:
        self._cuda = cuda_in_use()
        if self._cuda is not None:
            self._watch = PEAKS.start(self._cuda)
            held = self._cuda.memory_stats()
            self._allocated = held.get("allocated_bytes.all.current", 0)
            self._reserved = held.get("reserved_bytes.all.current", 0)

    def stop(self) -> float | None:
        """End it; returns the growth in MB, None without a GPU in use."""
        if self._cuda is None:
            return None
        PEAKS.stop(self._cuda, self._watch)
        allocated = self._watch.allocated_bytes - self._allocated
        reserved = self._watch.reserved_bytes - self._reserved
        return float(max(0, allocated, reserved) / MB)
