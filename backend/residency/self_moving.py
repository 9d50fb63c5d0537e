"""A model that moves itself: its weights are another process's, or hide where no arena reaches."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class SelfMoving(Protocol):
    """What the residency manager moves by asking, where it cannot move tensors itself."""

    @property
    def size_bytes(self) -> int:
        """Device memory that the model takes when it is there, by its own measurement."""

    @property
    def host_bytes(self) -> int:
        """Host memory that its weights take while it is loaded."""

    @property
    def device_bytes(self) -> int:
        """Device memory that it holds now, weights and leftovers; 0 when it is not there."""

    def to_device(self) -> None:
        """Bring the weights to the device, all or nothing.

        Raises
        ------
        OutOfMemory
            The device has no room; nothing has changed.
        ModelLoadFailed
            It cannot be brought there any more.
        """

    def to_host(self) -> None:
        """Take the weights, and all that was left beside them, off the device."""

    def free(self) -> None:
        """Free the weights everywhere; it is not used again."""
