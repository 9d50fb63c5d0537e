from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.gpu.batch_size import NO_MARGINS, Confidence, Margins, recommend
from backend.gpu.memory_profile import GPUMemoryProfile
from backend.gpu.peak_model import Basis, BatchOutcome, BatchSample, PeakModel, fit


def memory(total=24576.0, used=8192.0, free=None):
    left = total - used if free is None else free
    return GPUMemoryProfile(total, used, left, 0.0, 100 * used / total, 0.0)


def measured(per_item=2000.0, sizes=(1, 2, 4, 8), fixed=0.0):
    return [BatchSample(b, b**0.5, fixed + per_item * b, 20000.0) for b in sizes]


def advise(samples, mem=None, queue=8, margins=NO_MARGINS, target=0.85, model=None, **more):
    return recommend(
        mem or memory(), model or fit(samples), samples,
        queue_size=queue, target_utilization=target, margins=margins, **more,
    )  # fmt: skip


def test_the_figures_of_the_seed_document():
    samples = [BatchSample(b, b**0.5, 2000.0 * b, 20000.0) for b in (1, 2, 4, 8)]
    advice = advise(samples)
    assert (advice.recommended_size, advice.max_safe_size) == (6, 8)
    assert advice.estimated_vram_per_image == 2000
    assert advice.confidence is Confidence.HIGH


@pytest.mark.parametrize(
    ("total", "used", "per_item", "target", "recommended", "safe"),
    [
        (16384, 4096, 1500, 0.85, 6, 8),
        (24576, 0, 2000, 0.5, 6, 12),
        (24576, 20000, 2000, 0.85, 1, 2),
        (8192, 1024, 900, 0.7, 5, 7),
    ],
)
def test_the_rule_at_other_figures(total, used, per_item, target, recommended, safe):
    samples = [BatchSample(b, b**0.5, per_item * b, 1e6) for b in (1, 2, 4, 8, 16)]
    advice = advise(samples, memory(total, used), queue=99, target=target)
    assert (advice.recommended_size, advice.max_safe_size) == (recommended, safe)


def test_margins_and_neighbours_lower_the_batch():
    samples = measured()
    free_card = advise(samples, memory(used=1000), margins=Margins())
    shared_card = advise(samples, memory(used=20000), margins=Margins())
    assert free_card.max_safe_size == 10
    assert shared_card.max_safe_size == 1
    assert "4576 of 24576 MB are free" in shared_card.reasoning


def test_what_is_not_sure_to_fit_is_not_called_safe():
    advice = advise(measured(), memory(used=24000))
    assert (advice.recommended_size, advice.max_safe_size) == (1, 0)
    assert "Not even one" in advice.reasoning


def test_growth_is_at_most_twofold():
    assert advise(measured(100, sizes=(1, 2)), queue=99).recommended_size == 4
    first = advise([], model=PeakModel(0, 100, Basis.PRIOR), queue=99)
    assert first.recommended_size == 1, "nothing has succeeded yet"
    assert first.max_safe_size > 8


def test_the_queue_limits_and_an_empty_one_still_gives_one():
    assert advise(measured(100), queue=3).recommended_size == 3
    assert advise(measured(100), queue=0).recommended_size == 1


def test_a_size_that_ran_out_of_memory_is_remembered():
    samples = [*measured(100), BatchSample(6, 1.0, None, 30000.0, BatchOutcome.OUT_OF_MEMORY)]
    assert advise(samples, queue=99).max_safe_size == 5


def test_no_larger_than_what_still_gains_throughput():
    samples = [BatchSample(b, float(b), 100.0 * b, 1e6) for b in (1, 2, 4) for _ in range(3)]
    advice = advise(samples, queue=99)
    assert advice.recommended_size == 1
    assert "throughput" in advice.reasoning


def test_confidence_follows_the_evidence():
    good = [BatchSample(b, b**0.5, 2000.0 * b, 2e4) for b in (1, 2, 4, 8)]
    noisy = [
        BatchSample(b, b**0.5, p, 2e4) for b, p in ((1, 2000), (2, 6500), (4, 8000), (8, 16e3))
    ]
    assert advise(good).confidence is Confidence.HIGH
    assert advise(good[:2], queue=2).confidence is Confidence.MEDIUM
    assert advise(noisy, queue=4).confidence is Confidence.MEDIUM
    assert advise([], model=PeakModel(0, 100, Basis.BUILT_IN)).confidence is Confidence.LOW


def test_steps_cost_time_and_no_memory():
    samples = [BatchSample(b, 2.0 * b**0.5, 100.0 * b, 1e6, steps=10) for b in (1, 2, 4)]
    few, many = advise(samples, steps=10), advise(samples, steps=50)
    assert few.recommended_size == many.recommended_size
    assert many.estimated_s == pytest.approx(5 * few.estimated_s)


def test_without_a_gpu_it_says_so():
    nothing = GPUMemoryProfile(None, None, None, None, None, None, reason_unavailable="no driver")
    advice = advise([], mem=nothing, model=PeakModel(0, 100, Basis.BUILT_IN))
    assert (advice.recommended_size, advice.confidence) == (1, Confidence.NONE)
    assert advice.estimated_vram_per_image is None
    assert "no driver" in advice.reasoning


def test_one_more_is_tried_while_only_one_size_is_known():
    large = [BatchSample(1, 1.0, 10850.0, 2e4)] * 3  # 9000 fixed and 1850 an item, unknown yet
    free = memory(used=2000)
    assert advise(large[:2], free, queue=9).recommended_size == 1
    assert advise(large, free, queue=9).recommended_size == 2
    failed = BatchSample(2, 1.0, None, 22576.0, BatchOutcome.OUT_OF_MEMORY)
    assert advise([*large, failed], free, queue=9).recommended_size == 1


def test_cache_of_our_own_is_as_good_as_free_and_weights_count_against_the_cap():
    samples = measured(1000, sizes=(1, 2, 4, 8, 16))
    cached = GPUMemoryProfile(24576, 20576, 4000, 12000, 83.7, 0.0, allocated_mb=0)
    assert advise(samples, cached, queue=99).recommended_size == 12
    weights = GPUMemoryProfile(24576, 6000, 18576, 0, 24.4, 0.0, allocated_mb=6000)
    capped = advise(samples, weights, queue=99, margins=Margins(0.9, 0, 0, 0))
    assert capped.max_safe_size == int((0.9 * 24576 - 6000) // 1000)


def test_unreadable_memory_is_not_called_a_missing_gpu():
    unreadable = GPUMemoryProfile(None, None, None, None, None, None, name="GB10")
    advice = advise([], mem=unreadable, model=PeakModel(0, 100, Basis.BUILT_IN))
    assert advice.reasoning.startswith("Without knowing its memory")


def test_nonsense_is_refused():
    with pytest.raises(InvalidParameter):
        advise(measured(), queue=-1)
