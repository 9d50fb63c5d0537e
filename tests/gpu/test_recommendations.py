from __future__ import annotations

from backend.gpu.memory_profile import GPUMemoryProfile, memory_profile
from backend.gpu.memory_trend import memory_trend
from backend.gpu.recommendations import advise, should_reduce_batch


def memory(used_pct, *, cached=0.0, others=None, total=10000.0):
    used = total * used_pct / 100
    return GPUMemoryProfile(total, used, total - used, cached, used_pct, 3.0, others)


def codes(mem, readings=(), queue=0):
    return [advice.code for advice in advise(mem, memory_trend(readings), queue)]


def test_an_idle_card_with_a_queue_is_underused():
    (advice,) = advise(memory(20), None, queue_size=4)
    assert advice.text.startswith("⚡ GPU underutilized - increase batch size (20.0 %")
    assert advice.evidence == {"utilization_percent": 20, "queue_size": 4}
    assert codes(memory(20), queue=1) == []


def test_a_full_or_filling_card_gets_smaller_batches():
    rising = [60, 65, 80, 88]
    assert codes(memory(96)) == ["memory-nearly-full"]
    assert codes(memory(88), rising) == ["memory-nearly-full"]
    assert codes(memory(88), [88] * 4) == []
    assert should_reduce_batch(memory(96), None)
    assert not should_reduce_batch(memory(88), memory_trend([88] * 4))


def test_cache_and_neighbours_are_named_with_figures():
    assert codes(memory(80, cached=600)) == ["cache-large"]
    assert codes(memory(50, cached=600)) == []
    (advice,) = advise(memory(60, others=3000), None, 0)
    assert "3000 of 10000 MB" in advice.text


def test_without_a_device_there_is_one_honest_line():
    nothing = memory_profile({"devices": [], "reason_unavailable": "no driver answers"})
    (advice,) = advise(nothing, None, 9)
    assert advice.code == "cpu-mode"
    assert "no driver answers" in advice.text
    assert not should_reduce_batch(nothing, None)


def test_a_card_that_does_not_tell_its_memory_is_no_missing_card():
    profile = memory_profile({"devices": [{"name": "GB10", "vram_total_mb": None}]})
    (advice,) = advise(profile, None, 3)
    assert advice.code == "memory-unknown"
    assert "GB10" in advice.text


def test_memory_and_computing_are_two_figures():
    status = {
        "backend": "nvml",
        "devices": [
            {"vram_total_mb": 24576, "vram_used_mb": 8192, "vram_free_mb": 16384, "gpu_util_pct": 7,
             "vram_used_by_us_mb": {"reserved": 3000, "allocated": 1000}}
        ],
    }  # fmt: skip
    profile = memory_profile(status)
    assert round(profile.utilization_percent, 1) == 33.3
    assert profile.gpu_utilization_percent == 7
    assert profile.cached_mb == 2000
    assert profile.available_for_processing == 18384
