from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from backend.profiling.peak_growth import PeakGrowth
from backend.profiling.torch_in_use import cuda_in_use
from backend.units import MB


class CachingAllocator:
    """Keeps what was freed, as torch's does."""

    def __init__(self):
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0

    def is_initialized(self):
        return True

    def current_device(self):
        return 0

    def run(self, mb):
        self.allocated += mb * MB
        self.reserved = max(self.reserved, self.allocated)
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        self.allocated -= mb * MB

    def reset_peak_memory_stats(self, _device):
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def memory_stats(self):
        return {
            "allocated_bytes.all.current": self.allocated,
            "reserved_bytes.all.current": self.reserved,
        }

    def memory_stats_as_nested_dict(self, _device):
        return {
            "allocated_bytes": {"all": {"peak": self.peak_allocated}},
            "reserved_bytes": {"all": {"peak": self.peak_reserved}},
        }


@pytest.fixture
def cuda(monkeypatch):
    made = CachingAllocator()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    return made


def measured(cuda, mb):
    growth = PeakGrowth()
    cuda.run(mb)
    return growth.stop()


def test_what_earlier_batches_left_in_the_cache_does_not_hide_the_peak(cuda):
    assert [measured(cuda, mb) for mb in (2500, 4000, 4000, 2500)] == [2500, 4000, 4000, 2500]


def test_weights_that_are_there_already_do_not_count(cuda):
    cuda.allocated = cuda.reserved = 5000 * MB
    assert measured(cuda, 700) == 700


def test_measurements_that_overlap_do_not_spoil_each_other(cuda):
    outer = PeakGrowth()
    cuda.run(9000)
    assert measured(cuda, 1000) == 1000
    assert outer.stop() == 9000


def test_without_a_gpu_it_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace()))
    assert cuda_in_use() is None, "another thread is in the middle of importing torch"
    assert PeakGrowth().stop() is None
