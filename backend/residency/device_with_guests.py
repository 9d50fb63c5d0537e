"""A device, and beside its arenas the models that move themselves: one budget for both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from backend.errors import OutOfMemory
from backend.residency.device import BackendName, DeviceBackend, HostCopy, MemoryReading
from backend.residency.self_moving import SelfMoving
from backend.units import MB


@runtime_checkable
class Ledger(Protocol):
    """A device that counts blocks instead of having a driver that does."""

    def take(self, size_bytes: int) -> None:
        """Count a block; raises OutOfMemory."""

    def give_back(self, size_bytes: int) -> None:
        """Count it no more."""


class GuestCopy:
    """A self-moving model in the manager's eyes.

    Parameters
    ----------
    pinned_bytes : int
        Page-locked memory that it was granted; once it has moved, what it took of that.
    """

    def __init__(self, loaded: SelfMoving, pinned_bytes: int) -> None:
        self.loaded = loaded
        self.pinned_bytes = pinned_bytes
        self.block_bytes = self.seen_bytes = 0
        self.is_on_device = False

    @property
    def size_bytes(self) -> int:
        """What it needs on the device; while it is there, what was counted for it."""
        return self.block_bytes if self.is_on_device else self.loaded.size_bytes

    @property
    def host_bytes(self) -> int:
        """Host memory held."""
        return self.loaded.host_bytes

    @property
    def lives_elsewhere(self) -> bool:
        """Whether another process holds it, so that our allocator knows nothing of it."""
        return bool(getattr(self.loaded, "lives_elsewhere", False))

    @property
    def pid(self) -> int | None:
        """Number of the process that holds it; None for this one."""
        pid: int | None = getattr(self.loaded, "pid", None)
        return pid

    @property
    def leftover_bytes(self) -> int:
        """Device memory that it keeps though its weights have left, such as a CUDA context."""
        return 0 if self.is_on_device else self.seen_bytes

    def look(self) -> int:
        """Ask what it holds on the device now, and remember it for the status."""
        self.seen_bytes = self.loaded.device_bytes
        return self.seen_bytes


class DeviceWithGuests:
    """Passes arenas on to a device and moves everything else by asking it to.

    Parameters
    ----------
    inner : DeviceBackend
        The device itself.
    """

    def __init__(self, inner: DeviceBackend) -> None:
        self.inner = inner
        self.name: BackendName = inner.name
        self.frees_late = inner.frees_late
        self._ledger = inner if isinstance(inner, Ledger) else None
        self._lock = threading.Lock()
        self._guests: list[GuestCopy] = []

    def memory(self) -> MemoryReading:
        """Read the device; what processes of our own guests hold counts as ours."""
        reading = self.inner.memory()
        if self._ledger is not None:
            return reading
        with self._lock:
            guests = [copy for copy in self._guests if copy.lives_elsewhere]
        held = sum(copy.look() for copy in guests)
        held = min(held, reading.total_bytes - reading.free_bytes - reading.reserved_bytes)
        held = max(0, held)
        return MemoryReading(
            reading.total_bytes,
            reading.free_bytes,
            reading.reserved_bytes + held,
            reading.allocated_bytes + held,
        )

    def run_loader(self, load: Callable[[], Any]) -> Any:
        """Call the loader of a model."""
        return self.inner.run_loader(load)

    def size_of(self, loaded: Any) -> int:
        """Bytes that a loaded model will need."""
        return loaded.size_bytes if isinstance(loaded, SelfMoving) else self.inner.size_of(loaded)

    def host_copy(self, loaded: Any, pin_bytes: int) -> HostCopy:
        """Take a loaded model over."""
        if not isinstance(loaded, SelfMoving):
            return self.inner.host_copy(loaded, pin_bytes)
        pin = getattr(loaded, "pin", None)
        copy = GuestCopy(loaded, pin(pin_bytes) if pin is not None and pin_bytes > 0 else 0)
        with self._lock:
            self._guests.append(copy)
        return copy

    def upload(self, copy: HostCopy) -> None:
        """Bring a model to the device, all or nothing; raises OutOfMemory, ModelLoadFailed."""
        if not isinstance(copy, GuestCopy):
            self.inner.upload(copy)
            return
        if copy.is_on_device:
            return
        size_bytes = copy.loaded.size_bytes
        if self._ledger is not None:
            self._ledger.take(size_bytes)
        try:
            self._bring(copy, size_bytes)
        except BaseException:
            if self._ledger is not None:
                self._ledger.give_back(size_bytes)
            raise
        copy.block_bytes, copy.is_on_device = size_bytes, True
        copy.pinned_bytes = getattr(copy.loaded, "pinned_bytes", copy.pinned_bytes)

    def remove(self, copy: HostCopy) -> None:
        """Take a model off the device."""
        if not isinstance(copy, GuestCopy):
            self.inner.remove(copy)
            return
        if not copy.is_on_device:
            return
        copy.loaded.to_host()
        if self._ledger is not None:
            self._ledger.give_back(copy.block_bytes)
        copy.block_bytes, copy.is_on_device = 0, False

    def discard(self, copy: HostCopy) -> None:
        """Free a model everywhere."""
        if not isinstance(copy, GuestCopy):
            self.inner.discard(copy)
            return
        with self._lock:
            if copy in self._guests:
                self._guests.remove(copy)
        copy.loaded.free()

    def used(self, copy: HostCopy) -> None:
        """Note the end of a use; a call of a guest has waited for its own work."""
        if not isinstance(copy, GuestCopy):
            self.inner.used(copy)

    def link_bytes_per_s(self) -> float | None:
        """Probe, once, the rate of pinned memory to the device."""
        return self.inner.link_bytes_per_s()

    def known_link_bytes_per_s(self) -> float | None:
        """Return the probed rate without probing."""
        return self.inner.known_link_bytes_per_s()

    def give_back_cache(self) -> None:
        """Return to the driver what the allocator of this process keeps without use."""
        give_back = getattr(self.inner, "give_back_cache", None)
        if give_back is not None:
            give_back()

    def _bring(self, copy: GuestCopy, size_bytes: int) -> None:
        free_bytes = self.inner.memory().free_bytes
        if self._ledger is None and size_bytes > free_bytes:
            need_mb, free_mb = size_bytes / MB, free_bytes / MB
            raise OutOfMemory(f"{need_mb:.0f} MB are needed on the device, {free_mb:.0f} are free.")
        copy.loaded.to_device()
        note_use = getattr(copy.loaded, "note_use", None)
        if note_use is not None:
            note_use(max(0, free_bytes - self.inner.memory().free_bytes))
