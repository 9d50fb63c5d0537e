"""Peaks of GPU memory per stage, although torch keeps a single one that everybody resets.

Whoever resets torch's peak ends the measurement of all others. So all read it here: at every
start and end of a watch the peak so far goes to every open watch, and only then it is reset. A
parent thereby holds the largest of its children's peaks and its own.
"""

from __future__ import annotations

import threading
from typing import Any


class PeakWatch:
    """An open measurement.

    Attributes
    ----------
    allocated_bytes, reserved_bytes : int
        Most memory of the process during the watch: in tensors, and held by torch.
    """

    __slots__ = ("allocated_bytes", "device", "reserved_bytes")

    def __init__(self, device: int) -> None:
        self.device = device
        self.allocated_bytes = 0
        self.reserved_bytes = 0


class MemoryPeaks:
    """All open watches of a process, which may overlap in any way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[PeakWatch] = []

    def start(self, cuda: Any) -> PeakWatch:
        """Begin a watch of the current device; ``cuda`` is ``torch.cuda``."""
        watch = PeakWatch(cuda.current_device())
        with self._lock:
            self._hand_out(cuda, watch.device)
            self._open.append(watch)
        return watch

    def stop(self, cuda: Any, watch: PeakWatch) -> None:
        """End a watch; its peaks are final afterwards."""
        with self._lock:
            try:
                self._hand_out(cuda, watch.device)
            finally:
                self._open.remove(watch)

    def _hand_out(self, cuda: Any, device: int) -> None:
        """Give the peak since the last reset to all open watches, and start anew."""
        # One reading for both figures: `max_memory_allocated` costs a full one each time.
        stats = cuda.memory_stats_as_nested_dict(device)
        allocated_bytes = stats["allocated_bytes"]["all"]["peak"]
        reserved_bytes = stats["reserved_bytes"]["all"]["peak"]
        for watch in self._open:
            if watch.device == device:
                watch.allocated_bytes = max(watch.allocated_bytes, allocated_bytes)
                watch.reserved_bytes = max(watch.reserved_bytes, reserved_bytes)
        cuda.reset_peak_memory_stats(device)


PEAKS = MemoryPeaks()
