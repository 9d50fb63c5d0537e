from __future__ import annotations

from backend.tuning.limits import Limits
from backend.tuning.machine import processor_name
from backend.tuning.run_figures import RunFigures


def test_one_run_above_the_memory_limit_breaks_it():
    runs = [RunFigures(1.0, 100.0), RunFigures(1.0, 900.0)]
    assert Limits(vram_mb=899.0).broken_by(runs) == {
        "vram_mb": "A run held 900 MB on the GPU; the limit is 899 MB."
    }
    assert Limits(vram_mb=900.0).broken_by(runs) == {}


def test_memory_that_was_not_measured_breaks_nothing():
    assert Limits(vram_mb=1.0).broken_by([RunFigures(1.0, None)]) == {}


def test_one_slow_run_does_not_break_the_limit_of_time():
    runs = [RunFigures(1.0), RunFigures(1.1), RunFigures(9.0)]
    assert Limits(latency_s=1.2).broken_by(runs) == {}
    assert set(Limits(latency_s=1.05).broken_by(runs)) == {"latency_s"}


def test_processor_is_named_by_the_system_and_never_empty(tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nmodel name\t: Abacus 9000\n")
    assert processor_name(told).startswith("Abacus 9000, ")
    assert not processor_name(tmp_path / "missing").startswith(",")
