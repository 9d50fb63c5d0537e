"""The device seam: what the manager asks of a GPU, a ledger in RAM, or a simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class BackendName(StrEnum):
    """Which kind of device answers."""

    CUDA = "cuda"
    CPU = "cpu"
    SIMULATED = "sim"


@dataclass(frozen=True)
class MemoryReading:
    """One look at the device's memory, in bytes.

    Parameters
    ----------
    total_bytes, free_bytes : int
        Of the whole device; other processes count.
    reserved_bytes, allocated_bytes : int
        Held by this process: taken from the driver, and of that in use by tensors.
    """

    total_bytes: int
    free_bytes: int
    reserved_bytes: int
    allocated_bytes: int


class HostCopy(Protocol):
    """The weights of one model in host memory, in a form that uploads in one piece."""

    @property
    def size_bytes(self) -> int:
        """Size of the block that it needs on the device."""

    @property
    def host_bytes(self) -> int:
        """Host memory held."""

    @property
    def pinned_bytes(self) -> int:
        """Part of the host memory that is page-locked."""

    @property
    def is_on_device(self) -> bool:
        """Whether the model computes from its block."""


class DeviceBackend(Protocol):
    """Moves host copies on and off one device; calls on one copy never overlap."""

    name: BackendName
    frees_late: bool  # the driver may report freed memory as used for a moment

    def memory(self) -> MemoryReading:
        """Read the device's memory."""

    def run_loader(self, load: Callable[[], Any]) -> Any:
        """Call the loader of a model."""

    def size_of(self, loaded: Any) -> int:
        """Bytes of the block that a loaded model will need."""

    def host_copy(self, loaded: Any, pin_bytes: int) -> HostCopy:
        """Take a loaded model over; at most ``pin_bytes`` are page-locked."""

    def upload(self, copy: HostCopy) -> None:
        """Allocate a block and bring the model to the device, all or nothing.

        Raises
        ------
        OutOfMemory
            The device has no room; nothing has changed.
        """

    def remove(self, copy: HostCopy) -> None:
        """Point the model back to its host copy and free the block; nothing is copied back."""

    def discard(self, copy: HostCopy) -> None:
        """Free the host copy."""

    def used(self, copy: HostCopy) -> None:
        """Note the end of a use, so that ``remove`` waits for work still queued."""

    def link_bytes_per_s(self) -> float | None:
        """Probe, once, the rate of pinned memory to the device; None where it means nothing."""

    def known_link_bytes_per_s(self) -> float | None:
        """Return the probed rate without probing."""
