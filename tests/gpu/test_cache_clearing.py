from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from backend.gpu.cache_clearing import CacheClearer, CacheReading, ClearingRule, Occasion
from backend.units import MB
from tests.residency.conftest import StandingClock


def reading(unused, free=5000.0, reserved=10000.0, total=24000.0):
    return CacheReading(total, free, reserved, reserved - unused)


@pytest.mark.parametrize(
    ("occasion", "unused", "free", "reserved", "clears"),
    [
        (Occasion.ASKED, 1, 9000, 9000, True),
        (Occasion.ASKED, 0, 9000, 9000, False),
        (Occasion.OUT_OF_MEMORY, 10, 0, 23000, True),
        (Occasion.MODEL_SWITCH, 600, 9000, 9000, True),
        (Occasion.MODEL_SWITCH, 100, 9000, 9000, False),
        (Occasion.ROUTINE, 600, 9000, 9000, False),
        (Occasion.ROUTINE, 600, 2000, 9000, True),
        (Occasion.ROUTINE, 600, 3000, 20000, True),
        (Occasion.ROUTINE, 500, 3000, 20000, False),
    ],
)
def test_clearing_happens_only_when_it_gains_something(occasion, unused, free, reserved, clears):
    reason = ClearingRule().reason(reading(unused, free, reserved), occasion)
    assert (reason is not None) == clears


def test_never_while_a_graph_is_captured():
    assert ClearingRule().reason(reading(5000), Occasion.ASKED, capturing=True) is None


def test_the_threshold_fires_once_until_memory_has_fallen():
    rule, full = ClearingRule(), reading(600, free=4000, reserved=20000)
    assert rule.reason(full, Occasion.ROUTINE)
    assert rule.reason(full, Occasion.ROUTINE) is None
    rule.reason(reading(600, free=9000, reserved=10000), Occasion.ROUTINE)
    assert rule.reason(full, Occasion.ROUTINE)


class ScriptedCuda:
    """An allocator with unused cache."""

    def __init__(self, unused_mb):
        self.unused, self.clears = unused_mb * MB, 0

    def mem_get_info(self):
        return 5000 * MB - self.unused, 24000 * MB

    def memory_reserved(self):
        return 1000 * MB + self.unused

    def memory_allocated(self):
        return 1000 * MB

    def is_initialized(self):
        return True

    def is_current_stream_capturing(self):
        return False

    def empty_cache(self):
        self.clears, self.unused = self.clears + 1, 0


def test_what_was_freed_is_measured_on_the_device(monkeypatch):
    cuda = ScriptedCuda(300)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    clearer = CacheClearer(StandingClock())
    assert clearer.clear(least_mb=512) == 0.0
    assert clearer.clear() == 300
    assert clearer.clear() == 0.0
    assert (clearer.clears, cuda.clears) == (1, 1)


def test_without_a_gpu_nothing_is_claimed(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert CacheClearer(StandingClock()).clear() is None
