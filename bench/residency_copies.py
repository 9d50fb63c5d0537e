"""Copies of weights: a stand-in for the link on machines without a GPU, and a counter.

On a CPU ``tensor.to("cpu")`` returns the tensor itself. The stand-in makes it allocate and copy, as
it does between two devices, so that libraries built on ``.to()`` do there what they do with a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of malloc.h
NEVER_BYTES = 2**31 - 1
WEIGHT_AXES = 2  # what flows through the network has three


def keep_freed_memory() -> bool:
    """Let malloc reuse all memory it was ever given; returns whether this libc knows how.

    Fresh memory costs a page fault for every 4 KB, more than a copy into it. A GPU has no such
    cost, and only blocks above malloc's threshold would bear it here: ours, but not single tensors.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER_BYTES))


def is_weight(tensor: Tensor) -> bool:
    """Whether it is a weight, or a buffer of bytes full of them, and no token or activation."""
    stored = tensor.is_floating_point() or tensor.dtype == torch.uint8
    return stored and tensor.ndim <= WEIGHT_AXES and tensor.device.type != "meta"


def _is_move(func: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call names a place to go to; ``.to()`` with a dtype alone names none."""
    if func is Tensor.cpu:
        return True
    places = [*args[1:2], kwargs.get("device")]
    return func is Tensor.to and any(isinstance(place, str | torch.device) for place in places)


class CopyingLink(TorchFunctionMode):
    """Inside of it, ``.to()`` and ``.cpu()`` copy a weight that already is where it should go.

    A second call on the copy just made does nothing: accelerate moves each tensor and then the
    parameter around it, and between two devices, too, the second finds it in place.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call through; copy where nothing was copied."""
        answer = func(*args, **(kwargs or {}))
        if not (_is_move(func, args, kwargs or {}) and answer is args[0] and is_weight(answer)):
            return answer
        if self._last is not None and answer.data_ptr() == self._last.data_ptr():
            return answer
        self._last = answer.clone()
        return self._last


class CopyCounter(TorchDispatchMode):
    """Counts the bytes of weights that are copied inside of it.

    Parameters
    ----------
    crossing : bool
        Count only copies between two devices; False counts every one.
    """

    def __init__(self, *, crossing: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._crossing = crossing
        self.copied_bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call through, and look at what was copied."""
        answer = func(*args, **(kwargs or {}))
        aten = torch.ops.aten
        if func is aten.copy_.default:
            self._count(source=args[1], target=args[0])
        elif func in (aten._to_copy.default, aten.clone.default):
            self._count(source=args[0], target=answer)
        return answer

    def _count(self, *, source: Tensor, target: Tensor) -> None:
        devices = {source.device.type, target.device.type}
        if "meta" in devices or not is_weight(source):
            return
        if len(devices) > 1 or not self._crossing:
            self.copied_bytes += source.numel() * source.itemsize
