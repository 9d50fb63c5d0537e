"""What the recorder asks of the GPU: time and memory of a stage, state at the end of a pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.profiling.allocator_health import allocator_health, counters
from backend.profiling.cuda_timing import CudaTimer, EventPair
from backend.profiling.memory_peaks import PEAKS, MemoryPeaks, PeakWatch
from backend.profiling.spans import Span
from backend.profiling.torch_in_use import cuda_in_use

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WatchedStage:
    """What is open for a stage that runs."""

    span: Span
    events: EventPair | None
    memory: PeakWatch | None


class DeviceWatch:
    """Measures stages on the GPU; does nothing while torch does not use one.

    A failure of CUDA leaves a figure unknown, it never ends the stage.

    Parameters
    ----------
    find_cuda : callable
        Returns ``torch.cuda`` or None.
    """

    def __init__(
        self,
        find_cuda: Callable[[], Any] = cuda_in_use,
        timer: CudaTimer | None = None,
        peaks: MemoryPeaks = PEAKS,
    ) -> None:
        self._find_cuda = find_cuda
        self._peaks = peaks
        self.timer = timer or CudaTimer()

    def start(self, span: Span) -> WatchedStage | None:
        """Begin to measure a stage."""
        cuda = self._find_cuda()
        if cuda is None:
            return None
        try:
            memory = self._peaks.start(cuda)
        except RuntimeError:
            log.debug("no memory peak for stage %r", span.name, exc_info=True)
            memory = None
        return WatchedStage(span, self.timer.start(cuda, span), memory)

    def stop(self, watched: WatchedStage) -> None:
        """Take what is known when a stage ends; its GPU time follows with ``settle``."""
        cuda = self._find_cuda()
        if cuda is None:
            return
        if watched.events is not None:
            self.timer.stop(cuda, watched.events)
        if watched.memory is None:
            return
        try:
            self._peaks.stop(cuda, watched.memory)
            watched.span.peak_bytes = watched.memory.allocated_bytes
        except RuntimeError:
            log.debug("no memory peak for stage %r", watched.span.name, exc_info=True)

    def counters(self) -> dict[str, int | None]:
        """Read the allocator's counters at the start of a pipeline."""
        try:
            return counters(self._find_cuda())
        except RuntimeError:
            return {}

    def settle(self, before: Mapping[str, int | None]) -> tuple[str | None, dict[str, Any] | None]:
        """Read the GPU times that are ready; return the device's name and allocator health."""
        cuda = self._find_cuda()
        if cuda is None:
            return None, None
        try:
            # Asking for an event while a CUDA graph is recorded would break the recording.
            if not cuda.is_current_stream_capturing():
                self.timer.resolve()
            return str(cuda.get_device_name()), allocator_health(cuda, before)
        except RuntimeError:
            log.debug("the allocator cannot be read", exc_info=True)
            return None, None


DEVICE_WATCH = DeviceWatch()
