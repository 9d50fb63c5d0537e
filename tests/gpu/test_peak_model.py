from __future__ import annotations

import random

import pytest

from backend.gpu.peak_model import (
    Basis,
    BatchOutcome,
    BatchSample,
    fit,
    knee,
    out_of_memory_cap,
)


def ok(size, peak=None, elapsed=1.0, **more):
    return BatchSample(size, elapsed, peak, **more)


def oom(size, free=1000.0):
    return BatchSample(size, 1.0, None, free, BatchOutcome.OUT_OF_MEMORY)


def test_a_line_is_found_among_outliers():
    noise = random.Random(0)
    samples = [
        ok(b, 900 + 1850 * b + noise.gauss(0, 40) + (120 if i % 10 == 9 else 0))
        for i, b in enumerate([1, 2, 3, 4, 5] * 8)
    ]
    model = fit(samples)
    assert model.per_item_mb == pytest.approx(1850, rel=0.02)
    assert model.fixed_mb == pytest.approx(900, abs=60)
    assert (model.basis, model.points, model.sizes, model.largest) == (Basis.MEASURED, 40, 5, 5)


def test_one_size_counts_all_of_the_peak_as_growing():
    model = fit([ok(2, 3000), ok(2, 3200)])
    assert (model.fixed_mb, model.per_item_mb, model.basis) == (0, 1600, Basis.ONE_SIZE)


def test_without_a_measured_peak_there_is_no_line():
    assert fit([]) is None
    assert fit([ok(1), oom(4)]) is None


def test_memory_that_does_not_grow_does_not_invent_a_limit():
    model = fit([ok(1, 500), ok(4, 500)])
    assert model.per_item_mb == 0
    assert model.largest_within(600) == 4
    assert model.largest_within(400) == 0


def test_a_size_that_failed_is_not_tried_again_until_the_one_below_has_held_long():
    assert out_of_memory_cap([oom(8)], free_mb=900) == 7
    assert out_of_memory_cap([oom(8), oom(5)], free_mb=900) == 4
    assert out_of_memory_cap([oom(8, free=500)], free_mb=900) is None, "less was free then"
    assert out_of_memory_cap([oom(1)], free_mb=900) == 0
    assert out_of_memory_cap([oom(1)] + [ok(1)] * 10, free_mb=900) is None
    assert out_of_memory_cap([oom(8, free=None)], free_mb=900) == 7
    assert out_of_memory_cap([oom(8)] + [ok(9)] * 10, free_mb=900) is None
    assert out_of_memory_cap([oom(8)] + [ok(7)] * 9, free_mb=900) == 7
    assert out_of_memory_cap([oom(8)] + [ok(7)] * 10, free_mb=900) is None


def test_the_knee_is_where_throughput_stops_to_gain():
    timed = [(1, 1.0), (2, 1.2), (4, 2.1), (8, 4.2)]
    samples = [ok(size, elapsed=elapsed) for size, elapsed in timed for _ in range(3)]
    assert knee(samples) == 4
    assert knee(samples[:3]) is None
    assert knee(samples[:9]) is None, "the largest is still the best"
    assert knee(samples[2:]) == 4, "one size with too few batches does not hide the others"


def test_one_slow_first_batch_is_no_knee():
    fast = [ok(size, elapsed=size**0.5) for size in (1, 2, 4) for _ in range(3)]
    cold = [ok(8, elapsed=60.0), ok(8, elapsed=2.8), ok(8, elapsed=2.8)]
    assert knee(fast + cold[:1]) is None
    assert knee(fast + cold) is None


def test_one_freak_peak_among_many_does_not_rule_the_margin():
    good = [ok(b, 1000.0 * b) for b in (1, 2, 3, 4) for _ in range(15)]
    assert fit([*good, ok(3, 7000.0)]).residual_mb < 100
    assert fit([*good[:5], ok(3, 7000.0)]).residual_mb > 1000
