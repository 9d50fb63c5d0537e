"""What the CUDA device and the ledger share: arenas, blocks and pointing tensors to them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend.errors import ModelLoadFailed
from backend.progress import stop_if_asked
from backend.residency.arena import Arena, size_of
from backend.residency.device import HostCopy

log = logging.getLogger(__name__)


class ArenaCopy:
    """An arena, and its block while the model is on the device."""

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded
        self.arena = Arena(loaded, stop_if_asked)
        self.block: Tensor | None = None
        self.is_on_device = False
        self.is_broken = False
        self.checksums: list[int] | None = None
        self.pinned_bytes = 0
        self.uses: dict[int, torch.cuda.Event] = {}  # by stream

    @property
    def size_bytes(self) -> int:
        """Size of the block."""
        return self.arena.size_bytes

    @property
    def host_bytes(self) -> int:
        """Host memory held."""
        return self.arena.host.numel()


class TorchDevice(ABC):
    """Uploads and removals of arenas; subclasses say where blocks come from."""

    def run_loader(self, load: Callable[[], Any]) -> Any:
        """Load outside of inference mode, else weights could not be pointed elsewhere later."""
        with torch.inference_mode(mode=False):
            return load()

    def size_of(self, loaded: Any) -> int:
        """Bytes of the block that a loaded model will need; raises ModelLoadFailed."""
        return size_of(loaded)

    def upload(self, copy: HostCopy) -> None:
        """Copy the arena into a new block, then point the tensors to it; raises OutOfMemory."""
        mine = own(copy)
        if mine.is_broken:
            raise ModelLoadFailed(
                "The weights were changed in a way that could not be kept.",
                advice="Release the model; the next use loads it again.",
            )
        if mine.block is not None:
            return
        with torch.inference_mode(mode=False), torch.no_grad():
            block = self._allocate(mine)
            try:
                self._fill(block, mine)
            except BaseException:
                self._free(block)
                raise
            if mine.checksums is None:
                mine.checksums = mine.arena.checksums(block)
            mine.arena.point_to(block)
        mine.block, mine.is_on_device = block, True

    def remove(self, copy: HostCopy) -> None:
        """Point the tensors back to the host buffer and free the block."""
        mine = own(copy)
        if mine.block is None:
            return
        self._finish_queued(mine)
        with torch.inference_mode(mode=False), torch.no_grad():
            if mine.is_on_device:
                self._point_home(mine, mine.block)
        self._free(mine.block)
        mine.block = None
        if mine.is_broken:
            raise ModelLoadFailed("The weights were changed in a way that could not be kept.")

    def discard(self, copy: HostCopy) -> None:
        """Free the host buffer."""
        mine = own(copy)
        self._unpin(mine)
        mine.arena.dissolve()
        mine.loaded = None

    def _point_home(self, mine: ArenaCopy, block: Tensor) -> None:
        if mine.arena.is_whole(block):
            saved = 0
            if block is not mine.arena.host:
                saved = mine.arena.keep_changes(block, mine.checksums or [])
            if saved:
                log.info("%d bytes of weights had been written to and were kept", saved)
            mine.arena.point_to(mine.arena.host)
        else:
            self._rebuild(mine)
        mine.is_on_device = False

    def _rebuild(self, mine: ArenaCopy) -> None:
        """Lay the model out anew after its tensors were replaced (adapters, another precision)."""
        log.info("the tensors of a model were replaced; its host copy is made anew")
        for module in mine.arena.modules:
            module.to("cpu")
        self._unpin(mine)
        try:
            mine.arena, mine.checksums = Arena(mine.loaded), None
        except ModelLoadFailed:
            log.exception("a model was changed into something that cannot be moved")
            mine.is_broken = True

    @abstractmethod
    def _allocate(self, mine: ArenaCopy) -> Tensor:
        """Take a block from the device; raises OutOfMemory."""

    @abstractmethod
    def _fill(self, block: Tensor, mine: ArenaCopy) -> None:
        """Copy the host buffer into a block, and wait until it is there."""

    @abstractmethod
    def _free(self, block: Tensor) -> None:
        """Give a block back to the device."""

    @abstractmethod
    def _finish_queued(self, mine: ArenaCopy) -> None:
        """Wait for work that still reads the block."""

    @abstractmethod
    def _unpin(self, mine: ArenaCopy) -> None:
        """Give page-locked memory back."""


def own(copy: HostCopy) -> ArenaCopy:
    """Return the copy as ours."""
    if not isinstance(copy, ArenaCopy):
        raise TypeError(f"not an arena: {copy!r}")
    return copy
