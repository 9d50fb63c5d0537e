"""What an error of the device means: memory, a lost context, or something else."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

from backend.errors import DeviceLost, InvalidParameter, OutOfMemory

Result = TypeVar("Result")
MOST_HALVINGS = 2

_DEVICE = (
    r"(cuda (driver )?error|cuda out of memory|triton error|hip (error|out of)"
    r"|cu[a-z]+_status|cu[a-z]+_alloc|nvml)"
)
_MEMORY = re.compile(
    _DEVICE + r".*(out of memory|alloc_failed|allocation_failed)|hip out of memory"
    r"|cu[a-z]+(_status)?_alloc(ation)?_failed|cuda out of memory"
    r"|defaultcpuallocator: can't allocate memory"
)
_LOST = re.compile(
    _DEVICE + r".*(illegal memory access|device-side assert|unspecified launch failure"
    r"|misaligned address|illegal instruction|hardware stack error|uncorrectable"
    r"|launch timed out|invalid program counter|global/shared address space"
    r"|context is destroyed|gpu is lost)"
)


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
    InvalidParameter
        The batch is empty.
    """
    if batch_size < 1:
        raise InvalidParameter(f"A batch of {batch_size} items cannot be run.")
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
    torch_kind = getattr(sys.modules.get("torch"), "OutOfMemoryError", OutOfMemory)
    if isinstance(error, (torch_kind, OutOfMemory, MemoryError)):
        return Fault.OUT_OF_MEMORY
    if isinstance(error, DeviceLost):
        return Fault.CONTEXT_LOST
    if not isinstance(error, RuntimeError):  # others may quote what a user has sent
        return Fault.OTHER
    text = str(error).lower()
    if _LOST.search(text):
        return Fault.CONTEXT_LOST
    return Fault.OUT_OF_MEMORY if _MEMORY.search(text) else Fault.OTHER


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
