"""GPU time of stages from pairs of CUDA events, read once the GPU has passed them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from backend.profiling.spans import Span

NS_PER_MS = 1_000_000
MOST_PENDING = 4096

log = logging.getLogger(__name__)


@dataclass(slots=True)
class EventPair:
    """Two events on one device around the work of a stage."""

    span: Span
    device: int
    start: Any
    end: Any


class CudaTimer:
    """Records events into the stream and reads them later, without waiting for the GPU.

    Parameters
    ----------
    most_pending : int
        Pairs that may wait to be read; stages beyond them get no GPU time.

    Attributes
    ----------
    skipped : int
        Stages that got no GPU time, because of a recording of a CUDA graph, too many pending
        pairs or a failure of CUDA.
    """

    def __init__(self, most_pending: int = MOST_PENDING) -> None:
        self.skipped = 0
        self._most_pending = most_pending
        self._lock = threading.Lock()
        self._free: dict[int, list[Any]] = {}
        self._pending: deque[EventPair] = deque()

    def start(self, cuda: Any, span: Span) -> EventPair | None:
        """Record the first event; None where nothing can be recorded."""
        try:
            if cuda.is_current_stream_capturing() or len(self._pending) >= self._most_pending:
                self._skip()
                return None
            device = cuda.current_device()
            pair = EventPair(span, device, self._take(cuda, device), self._take(cuda, device))
            pair.start.record()
        except RuntimeError:
            log.debug("no event before stage %r", span.name, exc_info=True)
            self._skip()
            return None
        return pair

    def stop(self, cuda: Any, pair: EventPair) -> None:
        """Record the second event; it is read by ``resolve``."""
        try:
            if cuda.is_current_stream_capturing() or cuda.current_device() != pair.device:
                self._skip()
                return
            pair.end.record()
        except RuntimeError:
            log.debug("no event after stage %r", pair.span.name, exc_info=True)
            self._skip()
            return
        with self._lock:
            self._pending.append(pair)

    def resolve(self) -> int:
        """Write the GPU time into every span whose events have passed.

        Returns
        -------
        int
            Pairs that the GPU has not reached yet; a later call reads them.
        """
        with self._lock:
            waiting, self._pending = self._pending, deque()
        left = deque(pair for pair in waiting if not self._read(pair))
        with self._lock:
            self._pending.extend(left)
        return len(left)

    def _read(self, pair: EventPair) -> bool:
        """Whether the pair is done with, read or broken."""
        try:
            if not pair.end.query():
                return False
            pair.span.gpu_ns = round(pair.start.elapsed_time(pair.end) * NS_PER_MS)
        except RuntimeError:
            log.debug("the events of stage %r are lost", pair.span.name, exc_info=True)
            self._skip()
            return True
        with self._lock:
            self._free.setdefault(pair.device, []).extend((pair.start, pair.end))
        return True

    def _take(self, cuda: Any, device: int) -> Any:
        """Events belong to the device of their first record, hence one pool per device."""
        with self._lock:
            free = self._free.get(device)
            if free:
                return free.pop()
        return cuda.Event(enable_timing=True)

    def _skip(self) -> None:
        with self._lock:
            self.skipped += 1
