"""All weights of a model in one buffer, so that they move in one piece.

A host buffer holds every parameter and buffer once. On the device there is one block of the same
layout. The tensors themselves are never replaced: their ``.data`` points into one or the other,
which is why compiled code stays valid and why nothing has to be copied back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backend.errors import ModelLoadFailed

ALIGNMENT_BYTES = 256
PAGE_BYTES = 4096
CHUNK_BYTES = 128 * 1024 * 1024


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in the buffer.

    Parameters
    ----------
    start, extent_bytes : int
        Offset in bytes, and bytes from the first to the last element.
    """

    tensor: Tensor
    start: int
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]
    extent_bytes: int

    def span(self, buffer: Tensor) -> Tensor:
        """Return the bytes from the first to the last element inside a buffer."""
        return buffer[self.start : self.start + self.extent_bytes]

    def view(self, buffer: Tensor) -> Tensor:
        """Return the tensor's elements inside a buffer of bytes."""
        typed = self.span(buffer).view(self.dtype)
        return torch.as_strided(typed, self.shape, self.stride, typed.storage_offset())


class Arena:
    """The weights of one loaded model in host memory, and the way to point them elsewhere.

    Parameters
    ----------
    loaded : object
        A module, or a list, tuple or dict of modules, on the CPU.
    before_each : callable
        Called before each tensor; what it raises is raised, and ``loaded`` is of no use then.

    Raises
    ------
    ModelLoadFailed
        There is no module in it, or a tensor is not plain memory on the CPU.
    """

    def __init__(self, loaded: Any, before_each: Callable[[], None] = _nothing) -> None:
        self.modules = modules_of(loaded)
        self.places, self.size_bytes = _lay_out(self.modules)
        self.host = _page_aligned(self.size_bytes)
        with torch.no_grad():
            for place in self.places:
                before_each()  # the first touch of a mapped weight reads it from the disk
                place.span(self.host).copy_(_bytes_of(place.tensor))
                place.tensor.data = place.view(self.host)

    def point_to(self, buffer: Tensor) -> None:
        """Make every tensor a view into ``buffer``, a copy of the host buffer on any device."""
        for place in self.places:
            place.tensor.data = place.view(buffer)

    def chunks(self) -> Iterator[slice]:
        """Return slices of the buffer that are copied one at a time."""
        for start in range(0, self.size_bytes, CHUNK_BYTES):
            yield slice(start, min(start + CHUNK_BYTES, self.size_bytes))

    def checksums(self, buffer: Tensor) -> list[int]:
        """Sum every chunk of a buffer up, as 64-bit integers that wrap around."""
        sums = [buffer[chunk].view(torch.int64).sum() for chunk in self.chunks()]
        return torch.stack(sums).tolist() if sums else []

    def keep_changes(self, block: Tensor, checksums: list[int]) -> int:
        """Save what was written to on the device; returns the bytes copied back.

        Weights are read-only by contract, so this is normally nothing. Adapters merged in place
        and statistics in buffers must not be lost; torch's own count of writes misses both.

        Parameters
        ----------
        checksums : list of int
            Of the host buffer; brought up to date.
        """
        saved = 0
        now = self.checksums(block)
        for number, chunk in enumerate(self.chunks()):
            if now[number] != checksums[number]:
                self.host[chunk].copy_(block[chunk])
                checksums[number] = now[number]
                saved += chunk.stop - chunk.start
        return saved

    def dissolve(self) -> None:
        """Free the weights, also where somebody still holds a module of the model."""
        for place in self.places:
            place.tensor.data = torch.zeros(0, dtype=place.dtype)
        self.places, self.modules, self.size_bytes = [], [], 0
        self.host = torch.zeros(0, dtype=torch.uint8)

    def is_whole(self, buffer: Tensor) -> bool:
        """Whether the model still consists of views into ``buffer`` and of nothing else.

        Adapters and changes of precision replace tensors.
        """
        known = {id(place.tensor) for place in self.places}
        start, end = buffer.data_ptr(), buffer.data_ptr() + self.size_bytes
        for tensor in _tensors(self.modules):
            if id(tensor) not in known:
                return False
            if tensor.numel() and not start <= tensor.data_ptr() < end:
                return False
        return True


def modules_of(loaded: Any) -> list[nn.Module]:
    """Return the modules of a loaded model; raises ModelLoadFailed when there are none."""
    if isinstance(loaded, nn.Module):
        return [loaded]
    values = loaded.values() if isinstance(loaded, dict) else loaded
    modules = [v for v in values if isinstance(v, nn.Module)] if _is_collection(loaded) else []
    if not modules:
        raise ModelLoadFailed(f"A {type(loaded).__name__} holds no torch module.")
    return modules


def size_of(loaded: Any) -> int:
    """Return the bytes a loaded model needs in one buffer; raises ModelLoadFailed."""
    return _lay_out(modules_of(loaded))[1]


def _is_collection(loaded: Any) -> bool:
    return isinstance(loaded, dict | list | tuple)


def _tensors(modules: list[nn.Module]) -> Iterator[Tensor]:
    seen: set[int] = set()
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor


def _lay_out(modules: list[nn.Module]) -> tuple[list[Place], int]:
    """Give every tensor its place; tensors that share memory keep sharing it."""
    spans = _spans(modules)
    starts: dict[int, int] = {}
    end = 0
    for key, (low, high) in spans.items():
        starts[key] = end - low
        end += -(-(high - low) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    places = []
    for tensor in _tensors(modules):
        start = starts[_storage_key(tensor)] + _offset_bytes(tensor)
        extent_bytes = _extent(tensor) * tensor.itemsize
        places.append(
            Place(tensor, start, tensor.dtype, tensor.shape, tensor.stride(), extent_bytes)
        )
    return places, end


def _page_aligned(size_bytes: int) -> Tensor:
    """Return memory that starts with a page: spans that share one cannot be page-locked.

    It is not written to: for gigabytes that takes seconds, in which nobody can cancel.
    """
    memory = torch.empty(size_bytes + PAGE_BYTES, dtype=torch.uint8)
    start = -memory.data_ptr() % PAGE_BYTES
    return memory[start : start + size_bytes]


def _bytes_of(tensor: Tensor) -> Tensor:
    """Return the memory of a tensor, whatever its dtype and strides, as bytes."""
    start = _offset_bytes(tensor)
    size = _extent(tensor) * tensor.itemsize
    raw = torch.zeros(0, dtype=torch.uint8)
    return raw.set_(tensor.untyped_storage(), start, (size,), (1,))


def _spans(modules: list[nn.Module]) -> dict[int, tuple[int, int]]:
    """Return the used bytes, first and last, of every storage."""
    spans: dict[int, tuple[int, int]] = {}
    for tensor in _tensors(modules):
        _refuse_unmovable(tensor)
        low = _offset_bytes(tensor)
        low_aligned = low - low % 16  # views of another dtype need an aligned start
        high = low + _extent(tensor) * tensor.itemsize
        known = spans.get(_storage_key(tensor), (low_aligned, high))
        spans[_storage_key(tensor)] = (min(known[0], low_aligned), max(known[1], high))
    return spans


def _refuse_unmovable(tensor: Tensor) -> None:
    plain = type(tensor) in (Tensor, nn.Parameter, nn.Buffer)
    if not plain or tensor.is_sparse or tensor.is_quantized:
        raise ModelLoadFailed(
            f"A {type(tensor).__name__} cannot be moved as plain memory.",
            advice="Register this model with a loader that returns plain tensors.",
        )
    if tensor.is_inference():
        raise ModelLoadFailed("The loader made weights inside torch.inference_mode().")
    if tensor.device.type != "cpu":
        raise ModelLoadFailed(f"The loader returned weights on {tensor.device}, not on the CPU.")


def _storage_key(tensor: Tensor) -> int:
    # an empty storage has no address; its tensors share nothing
    return tensor.untyped_storage().data_ptr() or -id(tensor)


def _offset_bytes(tensor: Tensor) -> int:
    return int(tensor.storage_offset()) * tensor.itemsize


def _extent(tensor: Tensor) -> int:
    if tensor.numel() == 0:
        return 0
    return 1 + sum((n - 1) * int(s) for n, s in zip(tensor.shape, tensor.stride(), strict=True))
