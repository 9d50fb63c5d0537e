"""A device without tensors, for tests and policy benches: it moves numbers and can be made to fail.

Never offered to users; its name is ``sim`` and it claims no link rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.errors import OutOfMemory
from backend.residency.device import BackendName, HostCopy, MemoryReading


@dataclass
class SimulatedCopy:
    """Weights that are only a number."""

    size_bytes: int
    pinned_bytes: int
    block_bytes: int = 0
    discarded: bool = False

    @property
    def is_on_device(self) -> bool:
        """Whether there is a block."""
        return self.block_bytes > 0

    @property
    def host_bytes(self) -> int:
        """Host memory held."""
        return 0 if self.discarded else self.size_bytes


class SimulatedDevice:
    """Counts bytes as a device would.

    Parameters
    ----------
    total_bytes : int
        Size of the device.
    bytes_per_s : float
        Rate of an upload; what it takes is told to ``spend``.
    spend : callable
        Lets simulated seconds pass.
    frees_late : bool
        Freed memory counts as used until ``settle`` is called.

    Attributes
    ----------
    foreign_bytes : int
        Held by simulated neighbours.
    failures, remove_failures, use_failures : list of Exception
        Raised by the next calls of ``upload``, ``remove`` and ``used``, one each.
    """

    name = BackendName.SIMULATED

    def __init__(
        self,
        total_bytes: int,
        bytes_per_s: float = float("inf"),
        spend: Callable[[float], None] = lambda _: None,
        *,
        frees_late: bool = False,
    ) -> None:
        self.total_bytes = total_bytes
        self.foreign_bytes = 0
        self.activation_bytes = 0
        self.failures: list[Exception] = []
        self.remove_failures: list[Exception] = []
        self.use_failures: list[Exception] = []
        self.copies: list[SimulatedCopy] = []
        self.copied_bytes = 0
        self.frees_late = frees_late
        self._late_bytes = 0
        self._bytes_per_s = bytes_per_s
        self._spend = spend

    @property
    def block_bytes(self) -> int:
        """Bytes of all blocks on the device."""
        return sum(copy.block_bytes for copy in self.copies)

    @property
    def pinned_bytes(self) -> int:
        """Page-locked bytes of all host copies."""
        return sum(copy.pinned_bytes for copy in self.copies if not copy.discarded)

    def memory(self) -> MemoryReading:
        """Read the counted memory."""
        ours = self.block_bytes + self.activation_bytes
        free = self.total_bytes - self.foreign_bytes - ours - self._late_bytes
        return MemoryReading(self.total_bytes, max(0, free), ours, ours)

    def settle(self) -> None:
        """Let the driver notice what was freed."""
        self._late_bytes = 0

    def run_loader(self, load: Callable[[], Any]) -> Any:
        """Call the loader."""
        return load()

    def size_of(self, loaded: Any) -> int:
        """Take the loaded number as the size."""
        return int(loaded)

    def host_copy(self, loaded: Any, pin_bytes: int) -> SimulatedCopy:
        """Count a host copy."""
        copy = SimulatedCopy(int(loaded), min(int(loaded), pin_bytes))
        self.copies.append(copy)
        return copy

    def upload(self, copy: HostCopy) -> None:
        """Count a block; raises OutOfMemory or what ``failures`` holds."""
        mine = _own(copy)
        if self.failures:
            raise self.failures.pop(0)
        if mine.size_bytes > self.memory().free_bytes:
            raise OutOfMemory("The simulated device is full.")
        self._spend(mine.size_bytes / self._bytes_per_s)
        mine.block_bytes = mine.size_bytes
        self.copied_bytes += mine.size_bytes

    def remove(self, copy: HostCopy) -> None:
        """Forget the block; raises what ``remove_failures`` holds."""
        mine = _own(copy)
        if self.remove_failures:
            raise self.remove_failures.pop(0)
        self._late_bytes += mine.block_bytes if self.frees_late else 0
        mine.block_bytes = 0

    def discard(self, copy: HostCopy) -> None:
        """Forget the host copy."""
        mine = _own(copy)
        mine.pinned_bytes, mine.discarded = 0, True
        self.copies.remove(mine)

    def used(self, copy: HostCopy) -> None:
        """Raise what ``use_failures`` holds; nothing is queued here."""
        if self.use_failures:
            raise self.use_failures.pop(0)

    def link_bytes_per_s(self) -> float | None:
        """Return None: a simulated link says nothing about this machine."""
        return None

    def known_link_bytes_per_s(self) -> float | None:
        """Return None, as ``link_bytes_per_s`` does."""
        return None


def _own(copy: HostCopy) -> SimulatedCopy:
    if not isinstance(copy, SimulatedCopy):
        raise TypeError(f"not a simulated copy: {copy!r}")
    return copy
