from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import backend.gpu_optimizer as facade
from backend.errors import InvalidParameter
from backend.gpu.attention_choice import AttentionShape
from backend.gpu.batch_history import BatchHistory
from backend.gpu.batch_size import NO_MARGINS, Confidence
from backend.gpu.compilation import CompiledModel
from backend.gpu.peak_model import Basis, BatchOutcome, PeakModel
from backend.gpu_optimizer import GPUOptimizer, RTX4090Optimizer, get_gpu_optimizer, report
from backend.profiling.recorder import record_pipeline
from backend.units import SystemClock
from tests.residency.conftest import StandingClock

DEMO = """\
1. Current Memory Profile:

   Total: 24576MB
   Used: 8192MB
   Free: 16384MB
   Utilization: 33.3%

2. Batch Size Recommendation:

   Recommended: 6
   Max Safe: 8
   Est. VRAM/image: 2000MB
   Confidence: high
"""


def card(used=8192, total=24576, **more):
    return {
        "backend": "scripted",
        "devices": [
            {"name": "Scripted Card", "vram_total_mb": total, "vram_used_mb": used,
             "vram_free_mb": total - used, "gpu_util_pct": 5} | more
        ],
    }  # fmt: skip


@pytest.fixture
def make(tmp_path):
    def build(status=None, **more):
        history = BatchHistory(tmp_path / "gpu.sqlite3")
        defaults = {"history": history, "read_status": lambda: status or card()}
        return GPUOptimizer(**(defaults | more))

    return build


@pytest.fixture
def alone(monkeypatch, tmp_path):
    monkeypatch.setattr(facade, "_optimizer", None)
    monkeypatch.setenv("MESHKILN_DATA_DIR", str(tmp_path))


def learn(optimizer, *sizes, per_item=2000.0, **more):
    for size in sizes:
        optimizer.record_batch_performance(size, size**0.5, peak_mb=per_item * size, **more)


def test_the_printed_demo_of_the_seed_document(make):
    optimizer = make(margins=NO_MARGINS)
    learn(optimizer, 1, 2, 4, 8)
    assert report(optimizer).startswith(DEMO)


def test_the_module_runs_without_a_gpu_and_invents_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "backend.gpu_optimizer"],
        env={
            "PATH": "/usr/bin:/bin",
            "CUDA_VISIBLE_DEVICES": "",
            "MESHKILN_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Total: unknown" in done.stdout
    assert "Confidence: none" in done.stdout


def test_confidence_becomes_high_by_learning_and_survives_a_restart(make):
    optimizer = make()
    assert optimizer.calculate_optimal_batch_size().confidence is Confidence.LOW
    learn(optimizer, 1, 2, 4)
    advice = make().calculate_optimal_batch_size(current_queue_size=4)
    assert advice.confidence is Confidence.HIGH
    assert advice.basis is Basis.MEASURED


def test_a_neighbour_lowers_the_batch(make):
    optimizer = make()
    learn(optimizer, 1, 2, 4)
    alone = optimizer.calculate_optimal_batch_size(current_queue_size=9).max_safe_size
    beside = make(card(used=20000)).calculate_optimal_batch_size(current_queue_size=9)
    assert beside.max_safe_size < alone


def test_another_resolution_scales_what_was_measured(make):
    optimizer = make()
    learn(optimizer, 1, 2, 4, image_size=(512, 512))
    advice = optimizer.calculate_optimal_batch_size((1024, 1024))
    assert advice.basis is Basis.OTHER_RESOLUTION
    assert advice.estimated_vram_per_image == pytest.approx(8000)


def test_a_counted_prior_is_used_before_the_built_in_guess(make):
    advice = make().calculate_optimal_batch_size(prior=PeakModel(10, 700, Basis.PRIOR))
    assert (advice.estimated_vram_per_image, advice.basis) == (700, Basis.PRIOR)


def test_steps_do_not_change_the_size(make):
    optimizer = make()
    learn(optimizer, 1, 2, 4, steps=10)
    few = optimizer.calculate_optimal_batch_size((512, 512), 10, 8)
    many = optimizer.calculate_optimal_batch_size((512, 512), 80, 8)
    assert few.recommended_size == many.recommended_size
    assert many.estimated_s == pytest.approx(8 * few.estimated_s)


@pytest.mark.parametrize("size", [(0, 512), (512, 0), (-1, 5)])
def test_a_picture_without_pixels_is_refused(make, size):
    with pytest.raises(InvalidParameter, match="no pixels"):
        make().calculate_optimal_batch_size(size)


def test_one_optimizer_per_process_whose_target_follows(alone):
    first = get_gpu_optimizer()
    assert first.target_utilization == 0.85
    assert get_gpu_optimizer(target_utilization=0.5) is first
    assert first.target_utilization == 0.5
    assert get_gpu_optimizer().target_utilization == 0.5, "asking without a target changes nothing"
    with pytest.raises(InvalidParameter, match="hard cap"):
        get_gpu_optimizer(0.95)
    assert RTX4090Optimizer is GPUOptimizer


def test_trends_need_readings_and_decide_on_smaller_batches(make):
    used = iter([10000, 15000, 20000, 21000, 22000, 23000, 24000, 24100])
    optimizer = make(read_status=lambda: card(used=next(used)))
    assert optimizer.get_memory_trends() is None
    for _ in range(4):
        optimizer.get_current_memory_profile()
    trends = optimizer.get_memory_trends()
    assert trends["trend"] == "increasing"
    assert trends["min_utilization"] < trends["avg_utilization"] < trends["peak_utilization"]
    assert set(trends) >= {"stable", "variance"}
    assert optimizer.should_reduce_batch_size()


def test_recommendations_are_sentences_with_figures(make):
    optimizer = make()
    optimizer.calculate_optimal_batch_size(current_queue_size=5)
    (text,) = optimizer.get_optimization_recommendations()
    assert text.startswith("⚡ GPU underutilized - increase batch size (33.3 %")


def test_the_cache_is_left_alone_without_a_gpu(make):
    assert make().optimize_cache() is None


def test_timer_keeps_what_it_measured_on_the_error_path_too(make):
    clock = StandingClock()
    optimizer = make(clock=clock)
    with pytest.raises(KeyError), optimizer.timer("decode"):
        {}[clock.forward(1.5)]
    assert [(t.name, t.elapsed_s, t.memory_change_mb) for t in optimizer.timings] == [
        ("decode", 1.5, None)
    ]


def test_measured_batches_are_remembered_with_their_outcome(make):
    clock = StandingClock()
    optimizer = make(clock=clock)
    key = optimizer.batch_key("shape_generation", (512, 512))
    try:
        raise RuntimeError("the batch before this one")
    except RuntimeError:
        with optimizer.measure_batch(key, 2, steps=5):
            clock.forward(3)
    with pytest.raises(torch.OutOfMemoryError), optimizer.measure_batch(key, 8):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(KeyError), optimizer.measure_batch(key, 4):
        raise KeyError
    outcomes = [(s.batch_size, s.outcome, s.elapsed_s) for s in optimizer.history.samples(key)]
    assert outcomes == [(2, BatchOutcome.OK, 3), (8, BatchOutcome.OUT_OF_MEMORY, 0)]
    assert optimizer.calculate_optimal_batch_size(key=replace(key)).max_safe_size <= 7


def test_gpu_inference_mode_switches_gradients_off(alone):
    with facade.gpu_inference_mode():
        assert torch.is_inference_mode_enabled()


def test_a_history_that_fails_does_not_fail_a_good_batch(make, monkeypatch):
    optimizer = make()
    key = optimizer.batch_key("shape_generation", (512, 512))

    def locked(*_):
        raise sqlite3.OperationalError("database is locked")

    for call in ("record", "samples", "other_buckets"):
        monkeypatch.setattr(optimizer.history, call, locked)
    with optimizer.measure_batch(key, 2):
        pass
    assert optimizer.calculate_optimal_batch_size().confidence is Confidence.LOW


def test_an_empty_batch_and_an_unknown_number_of_steps(make):
    optimizer = make()
    with pytest.raises(InvalidParameter):
        optimizer.record_batch_performance(0, 1.0)
    optimizer.record_batch_performance(2, 10.0, peak_mb=100)
    assert optimizer.calculate_optimal_batch_size().estimated_s is None, "steps were not told"


def test_gpu_info_is_empty_without_a_device(make):
    assert make({"devices": []}).get_gpu_info() == {}
    assert make().get_gpu_info()["name"] == "Scripted Card"


def test_precision_follows_the_card_and_attention_is_measured(make):
    ada = make(card(compute_capability="8.9"))
    assert ada.choose_precision("shape").precision == "bf16"
    assert make(card()).choose_precision("shape", "fp16").precision == "fp32"
    shape = AttentionShape(1, 2, 64, 64, 32)
    choice = make(clock=SystemClock()).choose_attention(shape, torch.float32, torch.device("cpu"))
    timed = {trial.backend: trial.median_s for trial in choice.table if trial.median_s}
    assert choice.backend == min(timed, key=timed.get)


def test_warm_up_is_a_stage_of_its_own_in_the_profile(make):
    layer = torch.nn.Linear(2, 2)
    model = CompiledModel(layer, resident=False, enabled=False, clock=SystemClock())
    with record_pipeline("p") as record, torch.no_grad():
        elapsed_s = make().warm_up(model, torch.ones(1, 2))
    (stage,) = record.profile.stages
    assert stage.name == "warm_up"
    assert 0 <= elapsed_s <= stage.duration_seconds


def test_the_report_names_the_allocator_settings(make, monkeypatch):
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    assert make().allocator_settings().origin == "meshkiln"
