"""One NVIDIA GPU: pinned host buffers, one block per model, copies on a stream of their own."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from typing import Any

import torch
from torch import Tensor

from backend.errors import OutOfMemory
from backend.residency.device import BackendName, HostCopy, MemoryReading
from backend.residency.torch_device import ArenaCopy, TorchDevice, own
from backend.units import Clock, SystemClock

PIN_STEP_BYTES = 256 * 1024 * 1024
PROBE_BYTES, PROBES = 256 * 1024 * 1024, 3

log = logging.getLogger(__name__)


class CudaDevice(TorchDevice):
    """A CUDA device of this process.

    Parameters
    ----------
    index : int
        Index among the devices that this process sees.
    """

    name = BackendName.CUDA
    frees_late = True

    def __init__(self, index: int = 0, clock: Clock | None = None) -> None:
        self.device = torch.device("cuda", index)
        self._clock = clock or SystemClock()
        self._copies = torch.cuda.Stream(self.device)
        self._pinning = threading.Lock()
        self._pinned: dict[int, int] = {}  # address of a page-locked span -> its size
        self._link_bytes_per_s: float | None = None

    def memory(self) -> MemoryReading:
        """Read the whole device from the driver, and our part from torch's allocator."""
        free, total = torch.cuda.mem_get_info(self.device)
        return MemoryReading(
            total,
            free,
            torch.cuda.memory_reserved(self.device),
            torch.cuda.memory_allocated(self.device),
        )

    def host_copy(self, loaded: Any, pin_bytes: int) -> ArenaCopy:
        """Take a loaded model over and page-lock as much of its buffer as the budget allows."""
        copy = ArenaCopy(loaded)
        copy.pinned_bytes = self._pin(copy.arena.host, min(pin_bytes, copy.size_bytes))
        return copy

    def used(self, copy: HostCopy) -> None:
        """Record where the current stream stands, so that removal waits for this use."""
        stream = torch.cuda.current_stream(self.device)
        event = own(copy).uses.setdefault(stream.cuda_stream, torch.cuda.Event())
        event.record(stream)

    def link_bytes_per_s(self) -> float | None:
        """Measure once how fast pinned memory reaches the device: best of three."""
        if self._link_bytes_per_s is None:
            self._link_bytes_per_s = self._probe_link()
        return self._link_bytes_per_s

    def known_link_bytes_per_s(self) -> float | None:
        """Return the measured rate; None before it was measured."""
        return self._link_bytes_per_s

    def give_back_cache(self) -> None:
        """Return to the driver what the allocator keeps without use."""
        torch.cuda.empty_cache()

    def _probe_link(self) -> float | None:
        host = torch.zeros(PROBE_BYTES, dtype=torch.uint8)
        try:
            if self._pin(host, PROBE_BYTES) < PROBE_BYTES:
                return None
            block = torch.zeros(PROBE_BYTES, dtype=torch.uint8, device=self.device)
            rate = PROBE_BYTES / min(self._time_copy(block, host) for _ in range(PROBES))
            self._free(block)
        except RuntimeError as error:  # an OutOfMemoryError too
            log.warning("the link to the GPU was not probed: %s", error)
            return None
        finally:
            self._unpin_buffer(host)
        return rate

    def _time_copy(self, block: Tensor, host: Tensor) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(self._copies):
            start.record()
            block.copy_(host, non_blocking=True)
            end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    def _allocate(self, mine: ArenaCopy) -> Tensor:
        try:
            return torch.zeros(0, dtype=torch.uint8, device=self.device).new_empty(mine.size_bytes)
        except torch.OutOfMemoryError as error:
            reason = str(error).partition("\n")[0]
        # outside of the except block, else the failed frame would keep its tensors alive
        gc.collect()
        torch.cuda.empty_cache()
        raise OutOfMemory(f"The GPU has no room for {mine.size_bytes} bytes of weights: {reason}")

    def _fill(self, block: Tensor, mine: ArenaCopy) -> None:
        self._copies.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._copies):
            for chunk in mine.arena.chunks():
                block[chunk].copy_(mine.arena.host[chunk], non_blocking=True)
        self._copies.synchronize()

    def _finish_queued(self, mine: ArenaCopy) -> None:
        for event in mine.uses.values():
            event.synchronize()
        mine.uses.clear()

    def _free(self, block: Tensor) -> None:
        block.untyped_storage().resize_(0)
        torch.cuda.empty_cache()

    def _unpin(self, mine: ArenaCopy) -> None:
        self._unpin_buffer(mine.arena.host)
        mine.pinned_bytes = 0

    def _unpin_buffer(self, host: Tensor) -> None:
        start, end = host.data_ptr(), host.data_ptr() + host.numel()
        with self._pinning:
            for address in [a for a in self._pinned if start <= a < end]:
                torch.cuda.cudart().cudaHostUnregister(address)
                del self._pinned[address]

    def _pin(self, host: Tensor, pin_bytes: int) -> int:
        """Page-lock a prefix in steps; returns how many bytes the driver granted.

        The buffer itself is registered because torch's pinned allocator rounds up to a power of
        two; in steps because WSL refuses large spans.
        """
        done = 0
        while done < pin_bytes:
            step = min(PIN_STEP_BYTES, pin_bytes - done)
            if not self._pin_step(host.data_ptr() + done, step):
                log.warning("page-locking stopped at %d of %d bytes", done, pin_bytes)
                break
            done += step
        return done

    def _pin_step(self, address: int, size_bytes: int) -> bool:
        status = int(torch.cuda.cudart().cudaHostRegister(address, size_bytes, 0))
        if status == 0:
            with self._pinning:
                self._pinned[address] = size_bytes
            return True
        with contextlib.suppress(RuntimeError):  # CUDA keeps the error for the next call
            torch.zeros(1, device=self.device)
            torch.cuda.synchronize(self.device)
        return False
