from __future__ import annotations

import gc
import weakref

import pytest
import torch

from backend.errors import DeviceLost, InvalidParameter, OutOfMemory
from backend.gpu.faults import Fault, classify, run_halving


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            Fault.OUT_OF_MEMORY,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), Fault.OUT_OF_MEMORY),
        (MemoryError(), Fault.OUT_OF_MEMORY),
        (OutOfMemory(), Fault.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), Fault.CONTEXT_LOST),
        (RuntimeError("CUDA error: device-side assert triggered"), Fault.CONTEXT_LOST),
        (DeviceLost(), Fault.CONTEXT_LOST),
        (RuntimeError("CUDA driver error: out of memory"), Fault.OUT_OF_MEMORY),
        (RuntimeError("Triton Error [CUDA]: out of memory"), Fault.OUT_OF_MEMORY),
        (RuntimeError("HIP out of memory. Tried to allocate"), Fault.OUT_OF_MEMORY),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), Fault.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: the launch timed out and was terminated"), Fault.CONTEXT_LOST),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), Fault.CONTEXT_LOST),
        (ValueError("cannot read 'illegal memory access.glb'"), Fault.OTHER),
        (RuntimeError("cannot read 'illegal memory access.glb'"), Fault.OTHER),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Fault.OTHER),
        (ValueError("the memory of an elephant"), Fault.OTHER),
    ],
)
def test_errors_are_told_apart(error, fault):
    assert classify(error) is fault


def test_the_cause_counts_and_a_lost_context_outranks_memory():
    outer = RuntimeError("the stage failed")
    outer.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert classify(outer) is Fault.OUT_OF_MEMORY
    outer.__cause__.__cause__ = RuntimeError("CUDA error: an illegal memory access")
    assert classify(outer) is Fault.CONTEXT_LOST


class Device:
    """Runs batches up to a limit and remembers what was still alive when memory was freed."""

    def __init__(self, limit):
        self.limit = limit
        self.tried, self.alive_at_free = [], []
        self._last = lambda: None

    def run(self, size):
        self.tried.append(size)
        tensor = torch.zeros(size, 10)
        self._last = weakref.ref(tensor)
        if size > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tensor.shape[0]

    def free(self):
        gc.collect()
        self.alive_at_free.append(self._last() is not None)


@pytest.mark.parametrize(
    ("size", "limit", "tried"),
    [(8, 8, [8]), (8, 3, [8, 4, 2]), (16, 1, [16, 8, 4, 1]), (3, 1, [3, 1]), (2, 1, [2, 1])],
)
def test_a_batch_is_halved_until_it_fits(size, limit, tried):
    device = Device(limit)
    assert run_halving(device.run, size, device.free) == (tried[-1], tried[-1])
    assert device.tried == tried
    assert device.alive_at_free == [False] * (len(tried) - 1), "the failed frame kept its tensor"


def test_not_even_one_is_a_clear_error():
    with pytest.raises(OutOfMemory, match="Not even one"):
        run_halving(Device(0).run, 4, lambda: None)


def test_a_cause_that_was_set_aside_does_not_count():
    def tell_otherwise():
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("told otherwise") from None

    with pytest.raises(ValueError, match="told otherwise") as caught:
        tell_otherwise()
    assert classify(caught.value) is Fault.OTHER


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidParameter):
        run_halving(Device(4).run, 0, lambda: None)


def test_other_errors_pass_and_a_lost_context_is_never_tried_again():
    calls = []

    def broken(_size):
        calls.append(1)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(DeviceLost, match="illegal memory access"):
        run_halving(broken, 8, lambda: None)
    assert len(calls) == 1
    with pytest.raises(KeyError):
        run_halving({}.__getitem__, 8, lambda: None)
