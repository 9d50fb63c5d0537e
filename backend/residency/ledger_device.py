"""A processor treated as a device: real tensors, real pointing, and a ledger of a given size.

It proves logic, bit-equality and leaks on machines without a GPU, and it is how models run there.
It says ``cpu`` and reports no transfer rate.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from backend.errors import OutOfMemory
from backend.residency.device import BackendName, HostCopy, MemoryReading
from backend.residency.torch_device import ArenaCopy, TorchDevice
from backend.units import MB


class LedgerDevice(TorchDevice):
    """Host memory with a limit.

    Parameters
    ----------
    total_bytes : int
        Size of the ledger.
    in_place : bool
        Models run from their host buffer and only the ledger counts a block, so that a machine
        without a GPU does not hold every model twice. False copies into a block of its own.
    """

    name = BackendName.CPU
    frees_late = False

    def __init__(self, total_bytes: int, *, in_place: bool = False) -> None:
        self.total_bytes = total_bytes
        self.block_bytes = 0
        self._in_place = in_place

    def memory(self) -> MemoryReading:
        """Read the ledger."""
        held = self.block_bytes
        return MemoryReading(self.total_bytes, self.total_bytes - held, held, held)

    def host_copy(self, loaded: Any, pin_bytes: int) -> ArenaCopy:
        """Take a loaded model over; there is nothing to page-lock for."""
        return ArenaCopy(loaded)

    def link_bytes_per_s(self) -> float | None:
        """Return None: no link is crossed."""
        return None

    def known_link_bytes_per_s(self) -> float | None:
        """Return None, as ``link_bytes_per_s`` does."""
        return None

    def used(self, copy: HostCopy) -> None:
        """Nothing is queued on a processor."""

    def take(self, size_bytes: int) -> None:
        """Count a block, wherever its bytes are; raises OutOfMemory."""
        if self.block_bytes + size_bytes > self.total_bytes:
            raise OutOfMemory(
                f"{size_bytes / MB:.0f} MB do not fit into the ledger of "
                f"{self.total_bytes / MB:.0f} MB."
            )
        self.block_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count a block no more."""
        self.block_bytes -= size_bytes

    def _allocate(self, mine: ArenaCopy) -> Tensor:
        self.take(mine.size_bytes)
        host = mine.arena.host
        return host if self._in_place else host.new_empty(mine.size_bytes)  # filled as a whole

    def _fill(self, block: Tensor, mine: ArenaCopy) -> None:
        if not self._in_place:
            for chunk in mine.arena.chunks():
                block[chunk].copy_(mine.arena.host[chunk])

    def _free(self, block: Tensor) -> None:
        self.give_back(block.numel())

    def _finish_queued(self, mine: ArenaCopy) -> None:
        """Nothing is queued on a processor."""

    def _unpin(self, mine: ArenaCopy) -> None:
        """Nothing was page-locked."""
