"""What an error of the device means: memory, a lost context, or something else."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

from backend.errors import DeviceLost, OutOfMemory

Result = TypeVar("Result")
MOST_HALVINGS = 2

_MEMORY_TEXTS = (
    "cuda out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed",
    "cuda error: out of memory", "defaultcpuallocator: can't allocate memory",
)  # fmt: skip
_LOST_TEXTS = (
    "illegal memory access", "device-side assert", "unspecified launch failure",
    "misaligned address", "cuda error: an illegal instruction", "gpu is lost",
    "hardware stack error", "uncorrectable ecc",
)  # fmt: skip


class Fault(StrEnum):
    """How the caller has to react."""

    OUT_OF_MEMORY = "out_of_memory"
    CONTEXT_LOST = "context_lost"
    OTHER = "other"


def classify(error: BaseException) -> Fault:
    """Tell what an error means, by its type and text and those of its causes.

    A lost context outranks everything: the process can do no more work on the device.
    """
    faults = {_classify_one(one) for one in _chain(error)}
    return next((f for f in (Fault.CONTEXT_LOST, Fault.OUT_OF_MEMORY) if f in faults), Fault.OTHER)


def run_halving(
    run: Callable[[int], Result], batch_size: int, free: Callable[[], object]
) -> tuple[Result, int]:
    """Run a batch; when memory runs out, free some and run half of it.

    Parameters
    ----------
    run : callable
        Runs a batch of the given size.
    free : callable
        Frees memory; called outside of the ``except`` block, when the failed frames are gone.

    Returns
    -------
    tuple
        The result, and the size that succeeded.

    Raises
    ------
    OutOfMemory
        Even one item does not fit.
    DeviceLost
        The context is lost; the process has to end.
    """
    sizes = [batch_size >> times for times in range(MOST_HALVINGS + 1) if batch_size >> times]
    for size in dict.fromkeys([*sizes, 1]):
        failure: Fault | None = None
        try:
            return run(size), size
        except Exception as error:
            failure = classify(error)
            if failure is Fault.CONTEXT_LOST:
                raise DeviceLost(str(error).partition("\n")[0]) from error
            if failure is Fault.OTHER:
                raise
        gc.collect()
        free()
    raise OutOfMemory(
        "Not even one item fits into the memory of the device.",
        advice="Use a lower resolution or the draft preset, or close other programs on the GPU.",
    )


def _classify_one(error: BaseException) -> Fault:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return Fault.OUT_OF_MEMORY
    if isinstance(error, OutOfMemory | MemoryError):
        return Fault.OUT_OF_MEMORY
    if isinstance(error, DeviceLost):
        return Fault.CONTEXT_LOST
    text = str(error).lower()
    if any(part in text for part in _LOST_TEXTS):
        return Fault.CONTEXT_LOST
    return Fault.OUT_OF_MEMORY if any(part in text for part in _MEMORY_TEXTS) else Fault.OTHER


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
