from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from backend.gpu.peak_meter import PeakMeter
from backend.gpu.torch_telemetry import cuda_in_use
from backend.units import MB


class CachingAllocator:
    """Keeps what was freed, as torch's does."""

    def __init__(self):
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0

    def is_initialized(self):
        return True

    def run(self, mb):
        self.allocated += mb * MB
        self.reserved = max(self.reserved, self.allocated)
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        self.allocated -= mb * MB

    def reset_peak_memory_stats(self):
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def memory_allocated(self):
        return self.allocated

    def memory_reserved(self):
        return self.reserved

    def max_memory_allocated(self):
        return self.peak_allocated

    def max_memory_reserved(self):
        return self.peak_reserved


@pytest.fixture
def cuda(monkeypatch):
    made = CachingAllocator()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    return made


def measured(cuda, mb):
    meter = PeakMeter()
    cuda.run(mb)
    growth = meter.growth_mb()
    meter.close()
    return growth


def test_what_earlier_batches_left_in_the_cache_does_not_hide_the_peak(cuda):
    assert [measured(cuda, mb) for mb in (2500, 4000, 4000, 2500)] == [2500, 4000, 4000, 2500]


def test_weights_that_are_there_already_do_not_count(cuda):
    cuda.allocated = cuda.reserved = 5000 * MB
    assert measured(cuda, 700) == 700


def test_of_two_that_overlap_only_the_first_knows_its_memory(cuda):
    outer = PeakMeter()
    cuda.run(9000)
    inner = PeakMeter()
    cuda.run(1000)
    assert inner.growth_mb() is None
    inner.close()
    assert outer.growth_mb() == 9000
    outer.close()
    assert measured(cuda, 10) == 10


def test_without_a_gpu_it_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())  # in the middle of its import
    assert cuda_in_use() is None
    assert PeakMeter().growth_mb() is None
