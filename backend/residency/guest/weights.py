"""The weights of a hosted program: one host buffer, one device block, tensors that point to either.

The same idea as in the server's own arena, in a form that any Python from 3.9 and any torch that a
program brings can run.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

ALIGNMENT_BYTES = 256
PAGE_BYTES = 4096
CHUNK_BYTES = 128 * 1024 * 1024
PIN_STEP_BYTES = 256 * 1024 * 1024


class CannotMove(Exception):
    """The weights are no plain memory."""


class Place(NamedTuple):
    """Where a tensor lies in the buffer: offset in bytes, and its own form."""

    tensor: Any
    start: int
    extent_bytes: int
    dtype: Any
    shape: Any
    stride: tuple[int, ...]


class MovableWeights:
    """Weights that go to a device and back in one piece.

    Parameters
    ----------
    torch : module
        As the program imported it.
    modules : sequence of Module
        Roots, wherever their weights are now; afterwards they are in host memory.
    tensors : sequence of Tensor
        Held beside the modules; they move along.

    Raises
    ------
    CannotMove
    """

    def __init__(self, torch: Any, modules: Sequence[Any], tensors: Sequence[Any] = ()) -> None:
        self._torch = torch
        self._modules, self._tensors = list(modules), list(tensors)
        self.pin_bytes = 0
        self.block: Any = None
        self._pinned: list[int] = []
        self._sums: list[int] | None = None
        self._lay_out()

    @property
    def size_bytes(self) -> int:
        """Size of the buffer, and of the block on the device."""
        return int(self.host.numel())

    @property
    def pinned_bytes(self) -> int:
        """Page-locked part of the host buffer."""
        return min(self.size_bytes, len(self._pinned) * PIN_STEP_BYTES)

    def to_device(self, device: Any) -> None:
        """Copy the buffer into a new block and point the tensors there, all or nothing."""
        if self.block is not None:
            return
        torch = self._torch
        self._pin(device)
        with torch.inference_mode(mode=False), torch.no_grad():
            block = torch.empty(self.size_bytes, dtype=torch.uint8, device=device)
            for chunk in self._chunks():
                block[chunk].copy_(self.host[chunk], non_blocking=True)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if self._sums is None:
                self._sums = self._checksums(block)
            self._point_to(block)
        self.block = block

    def to_host(self) -> None:
        """Point the tensors to the host buffer; only what was written to is copied back."""
        if self.block is None:
            return
        torch, block = self._torch, self.block
        with torch.inference_mode(mode=False), torch.no_grad():
            self.block = None
            if self._is_whole(block):
                self._keep_changes(block)
                self._point_to(self.host)
            else:
                self._unpin()
                self._lay_out()

    def _lay_out(self) -> None:
        """Make the host buffer from wherever the tensors are."""
        torch = self._torch
        tensors = list(self._all_tensors())
        with torch.inference_mode(mode=False), torch.no_grad():
            starts, end = _starts(tensors)
            memory = torch.zeros(end + PAGE_BYTES, dtype=torch.uint8)
            first = -memory.data_ptr() % PAGE_BYTES
            self.host = memory[first : first + end]
            self._sums = None
            self.places = [_place(tensor, starts[_storage(tensor)]) for tensor in tensors]
            for place in self.places:
                span = self.host[place.start : place.start + place.extent_bytes]
                span.copy_(_bytes(torch, place))
            self._point_to(self.host)

    def _all_tensors(self) -> Iterator[Any]:
        seen: set[int] = set()
        for module in self._modules:
            for tensor in (*module.parameters(), *module.buffers()):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield _checked(tensor)
        for tensor in self._tensors:
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield _checked(tensor)

    def _point_to(self, buffer: Any) -> None:
        for place in self.places:
            typed = buffer[place.start : place.start + place.extent_bytes].view(place.dtype)
            offset = typed.storage_offset()
            place.tensor.data = typed.as_strided(place.shape, place.stride, offset)

    def _is_whole(self, block: Any) -> bool:
        """Whether the model still consists of views into the block; adapters replace tensors."""
        known = {id(place.tensor) for place in self.places}
        start, end = block.data_ptr(), block.data_ptr() + self.size_bytes
        return all(
            id(tensor) in known
            and (tensor.numel() == 0 or start <= tensor.data_ptr() < end)
            and tensor.device == block.device
            for tensor in self._all_tensors()
        )

    def _keep_changes(self, block: Any) -> None:
        sums = self._checksums(block)
        for number, chunk in enumerate(self._chunks()):
            if self._sums is None or sums[number] != self._sums[number]:
                self.host[chunk].copy_(block[chunk])
        self._sums = sums

    def _checksums(self, block: Any) -> list[int]:
        return [int(block[chunk].view(self._torch.int64).sum()) for chunk in self._chunks()]

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, self.size_bytes, CHUNK_BYTES):
            yield slice(start, min(start + CHUNK_BYTES, self.size_bytes))

    def _pin(self, device: Any) -> None:
        """Page-lock as much as was granted; less when the driver refuses, which costs time only."""
        if device.type != "cuda" or self._pinned:
            return
        runtime = self._torch.cuda.cudart()
        room = min(self.pin_bytes, self.size_bytes)
        for start in range(0, room, PIN_STEP_BYTES):
            address = self.host.data_ptr() + start
            size = min(PIN_STEP_BYTES, room - start)
            if int(runtime.cudaHostRegister(address, size, 0)) != 0:
                with contextlib.suppress(RuntimeError):  # CUDA keeps the error for the next call
                    self._torch.zeros(1, device=device)
                    self._torch.cuda.synchronize(device)
                break
            self._pinned.append(address)

    def _unpin(self) -> None:
        for address in self._pinned:
            self._torch.cuda.cudart().cudaHostUnregister(address)
        self._pinned.clear()


def empty_cache(torch: Any) -> None:
    """Give the device all memory back that nobody uses."""
    gc.collect()
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def _checked(tensor: Any) -> Any:
    if not hasattr(tensor, "untyped_storage"):
        raise CannotMove("weights are moved with torch 2.0 or newer")
    if tensor.is_sparse or tensor.is_quantized or tensor.device.type not in ("cpu", "cuda"):
        raise CannotMove(f"a tensor on {tensor.device} is no plain memory")
    if tensor.is_inference():
        raise CannotMove("the weights were made inside torch.inference_mode()")
    return tensor


def _storage(tensor: Any) -> Any:
    # an empty storage has no address; its tensors share nothing
    return (tensor.device, tensor.untyped_storage().data_ptr() or -id(tensor))


def _starts(tensors: Sequence[Any]) -> tuple[dict[Any, int], int]:
    """Give each storage its place; of a storage only the part between its tensors is kept.

    Returns
    -------
    starts : dict
        Where the first byte of a storage would lie, which may be before the buffer.
    end : int
        Size of the buffer.
    """
    spans: dict[Any, tuple[int, int]] = {}
    for tensor in tensors:
        low = tensor.storage_offset() * tensor.element_size()
        high = low + _extent_bytes(tensor)
        known = spans.get(_storage(tensor), (low, high))
        # views of another dtype need an aligned start
        spans[_storage(tensor)] = (min(known[0], low - low % 16), max(known[1], high))
    starts, end = {}, 0
    for storage, (low, high) in spans.items():
        starts[storage] = end - low
        end += -(-(high - low) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return starts, end


def _extent_bytes(tensor: Any) -> int:
    if not tensor.numel():
        return 0
    steps = [(n - 1) * s for n, s in zip(tensor.shape, tensor.stride())]  # noqa: B905  Python 3.9
    return int((1 + sum(steps)) * tensor.element_size())


def _place(tensor: Any, start: int) -> Place:
    begin = start + tensor.storage_offset() * tensor.element_size()
    size = _extent_bytes(tensor)
    return Place(tensor, begin, size, tensor.dtype, tensor.shape, tensor.stride())


def _bytes(torch: Any, place: Place) -> Any:
    """Return a tensor's memory, first to last element, as bytes on its own device."""
    tensor = place.tensor
    raw = torch.zeros(0, dtype=torch.uint8, device=tensor.device)
    start = tensor.storage_offset() * tensor.element_size()
    return raw.set_(tensor.untyped_storage(), start, (place.extent_bytes,), (1,))
