from __future__ import annotations

from dataclasses import replace

import pytest

from backend.profiling.advice import rules_device, rules_flow, rules_memory
from backend.profiling.advice.advice import AdviceKind, Confidence
from backend.profiling.advice.evidence import (
    AllocatorFigures,
    BatchFigures,
    CacheClearingFigures,
    CopyFigures,
    Evidence,
    GpuSamples,
    JobTimes,
    QueueFigures,
    ResidencyFigures,
)
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import EncodeFigures, StageEvidence
from backend.profiling.spans import SpanKind

RULES = (*rules_memory.RULES, *rules_device.RULES, *rules_flow.RULES)
JOB = JobTimes(40.0, 10)
CPU = StageEvidence("mesh", SpanKind.CPU, 0.3, 10)
GPU = StageEvidence("denoise", SpanKind.GPU, 0.6, 10)
EXPORT = StageEvidence(
    "export", SpanKind.IO, 0.1, 10, encode=EncodeFigures("png_level", 6, 1, 2.0, 0.5)
)
COPIES = CopyFigures(6e9, 3e9, 12e9, 64e9)
THRASH = ResidencyFigures(20, models=2, swaps_per_job=0.8, grouped_swaps_per_job=0.1, swap_s=10.0)
IDLE = ResidencyFigures(
    10, gaps_s=(1.0, 5.0, 70.0, 90.0), idle_offload_s=60.0, restore_s=3.0, all_fit=True
)
COLD = ResidencyFigures(10, cold_jobs=0.25, load_s=16.0)
HOT = GpuSamples(50, {"thermal": 0.4, "power_cap": 0.1}, clock_mhz=1500.0, clock_max_mhz=2000.0)
LINK = GpuSamples(50, pcie_gen=3, pcie_gen_max=4, pcie_width=8, pcie_width_max=16)
RETRIES = AllocatorFigures(10, alloc_retries=3, out_of_memory=0, retry_s=2.0)
PIECES = AllocatorFigures(
    10, 0, 0, inactive_split_bytes=30, reserved_bytes=100, peak_bytes=90, total_bytes=100
)
BATCH = BatchFigures(1, 10.0, 4, 24.0, fits=True, n=8)
WAITING = QueueFigures(10, 60.0, waiting=4.0, arrivals_per_s=0.05, gpu_busy=0.5)


def advice_of(found, rule):
    given = {advice.rule: advice for look in RULES if (advice := look(found)) is not None}
    return given.get(rule)


FIRES = [
    # 6 GB at 3 GB/s less 6 GB at 12 GB/s
    (RuleId.PAGEABLE_COPIES, {"copies": COPIES}, (1.5, 1.5)),
    (RuleId.MODEL_THRASH, {"residency": THRASH}, (7.0, 7.0)),
    # half of the jobs come late and wait 3 s
    (RuleId.IDLE_TIMEOUT, {"residency": IDLE}, (1.5, 1.5)),
    (RuleId.COLD_START, {"residency": COLD}, (4.0, 4.0)),
    (RuleId.FRAGMENTED, {"allocator": RETRIES}, (2.0, 2.0)),
    (
        RuleId.CACHE_CLEARING,
        {"cache_clearing": CacheClearingFigures(10, 0.5, 1.5)},
        (2.0, 2.0),
    ),
    # 24 s of GPU stages at three quarters of the clock
    (RuleId.THROTTLED, {"gpu": HOT, "stages": (GPU,)}, (6.0, 6.0)),
    # the link has 7.88 of 31.504 GB/s: 2 s of copies would take 0.5002 s
    (RuleId.SLOW_LINK, {"gpu": LINK, "copies": COPIES}, (0.0, 2 * (1 - 7.88 / 31.504))),
    (RuleId.SMALL_BATCH, {"batch": BATCH, "queue": WAITING}, (4.0, 4.0)),
    # 12 s of CPU hide behind 24 s of GPU
    (RuleId.CPU_IN_THE_WAY, {"stages": (CPU, GPU), "queue": WAITING}, (12.0, 12.0)),
    # 2.0 s less 0.5 s, whatever else the stage does
    (RuleId.SLOW_ENCODING, {"stages": (EXPORT,)}, (1.5, 1.5)),
    (RuleId.SLOW_ENCODING, {"stages": (replace(EXPORT, kind=SpanKind.CPU),)}, (1.5, 1.5)),
    (
        RuleId.SLOW_ENCODING,
        {"stages": (replace(EXPORT, encode=replace(EXPORT.encode, is_alone=False)),)},
        (0.0, 1.5),
    ),
    (RuleId.QUEUE_WAIT, {"queue": WAITING}, (0.0, 60.0)),
]


@pytest.mark.parametrize(("rule", "known", "expected"), FIRES)
def test_a_rule_gives_the_gain_worked_out_by_hand(rule, known, expected):
    advice = advice_of(Evidence(job=JOB, **known), rule)
    assert (advice.gain.low_s, advice.gain.high_s) == pytest.approx(expected)
    assert advice.gain.s_per_job == pytest.approx(sum(expected) / 2)


SILENT = [
    (RuleId.PAGEABLE_COPIES, {"copies": replace(COPIES, bytes_per_job=199e6)}),
    (RuleId.PAGEABLE_COPIES, {"copies": replace(COPIES, bytes_per_s=7.3e9)}),
    (RuleId.PAGEABLE_COPIES, {"copies": replace(COPIES, free_host_bytes=5e9)}),
    (RuleId.PAGEABLE_COPIES, {"copies": replace(COPIES, free_host_bytes=None)}),
    (RuleId.MODEL_THRASH, {"residency": replace(THRASH, swaps_per_job=0.5)}),
    (RuleId.MODEL_THRASH, {"residency": replace(THRASH, models=1)}),
    (RuleId.MODEL_THRASH, {"residency": replace(THRASH, grouped_swaps_per_job=0.8)}),
    (RuleId.IDLE_TIMEOUT, {"residency": replace(IDLE, all_fit=False)}),
    (RuleId.IDLE_TIMEOUT, {"residency": replace(IDLE, all_fit=None)}),
    (RuleId.IDLE_TIMEOUT, {"residency": replace(IDLE, idle_offload_s=-1.0)}),
    (RuleId.IDLE_TIMEOUT, {"residency": replace(IDLE, gaps_s=(1.0, 60.0))}),
    (RuleId.COLD_START, {"residency": replace(COLD, cold_jobs=0.19)}),
    (RuleId.FRAGMENTED, {"allocator": replace(RETRIES, alloc_retries=0)}),
    (RuleId.FRAGMENTED, {"allocator": replace(PIECES, peak_bytes=85)}),
    (RuleId.FRAGMENTED, {"allocator": replace(PIECES, inactive_split_bytes=20)}),
    (RuleId.CACHE_CLEARING, {"cache_clearing": CacheClearingFigures(10, 0.39, 5.0)}),
    (RuleId.MEMORY_OF_OTHERS, {"gpu": GpuSamples(50, others_mb=1000.0)}),
    (RuleId.THROTTLED, {"gpu": replace(HOT, throttled={"thermal": 0.09})}),
    # clocks that are held together are no fault of the device
    (RuleId.THROTTLED, {"gpu": replace(HOT, throttled={"sync_boost": 0.9})}),
    (RuleId.SLOW_LINK, {"gpu": replace(LINK, pcie_gen_max=3, pcie_width_max=8), "copies": COPIES}),
    (RuleId.SLOW_LINK, {"gpu": replace(LINK, pcie_gen=None), "copies": COPIES}),
    (RuleId.SMALL_BATCH, {"batch": BATCH, "queue": replace(WAITING, waiting=3.9)}),
    (RuleId.SMALL_BATCH, {"batch": replace(BATCH, fits=None), "queue": WAITING}),
    (RuleId.SMALL_BATCH, {"batch": replace(BATCH, larger_batch_s=40.0), "queue": WAITING}),
    (RuleId.CPU_IN_THE_WAY, {"stages": (replace(CPU, share=0.14), GPU), "queue": WAITING}),
    (RuleId.CPU_IN_THE_WAY, {"stages": (CPU,), "queue": WAITING}),
    (RuleId.CPU_IN_THE_WAY, {"stages": (CPU, GPU), "queue": replace(WAITING, waiting=0.9)}),
    (RuleId.SLOW_ENCODING, {"stages": (replace(EXPORT, share=0.09),)}),
    (
        RuleId.SLOW_ENCODING,
        {"stages": (replace(EXPORT, encode=replace(EXPORT.encode, faster_s=2.0)),)},
    ),
    (RuleId.QUEUE_WAIT, {"queue": replace(WAITING, wait_s=40.0)}),
    (RuleId.QUEUE_WAIT, {"queue": replace(WAITING, gpu_busy=None)}),
]


@pytest.mark.parametrize(("rule", "known"), SILENT)
def test_a_rule_is_silent_below_its_threshold(rule, known):
    assert advice_of(Evidence(job=JOB, **known), rule) is None


def test_throttling_is_a_warning_even_where_its_cost_is_unknown():
    unknown = replace(HOT, clock_mhz=None)
    advice = advice_of(Evidence(gpu=unknown), RuleId.THROTTLED)
    assert advice.kind is AdviceKind.WARNING
    assert advice.gain is None
    assert advice.evidence["throttled_share"] == 0.4
    assert "too hot" in advice.title


def test_memory_in_pieces_is_a_risk_and_no_loss_of_time():
    advice = advice_of(Evidence(job=JOB, allocator=PIECES), RuleId.FRAGMENTED)
    assert (advice.kind, advice.gain) == (AdviceKind.WARNING, None)
    assert advice.evidence["split_share"] == pytest.approx(0.3)
    assert "30%" in advice.detail


def test_one_failure_for_memory_is_enough():
    failed = AllocatorFigures(1, out_of_memory=1)
    advice = advice_of(Evidence(allocator=failed), RuleId.FRAGMENTED)
    assert advice.kind is AdviceKind.WARNING
    assert advice.evidence["alloc_retries"] is None
    assert "tried again: unknown" in advice.detail


def test_memory_of_others_is_a_note_with_the_amount():
    advice = advice_of(Evidence(gpu=GpuSamples(50, others_mb=5000.0)), RuleId.MEMORY_OF_OTHERS)
    assert (advice.kind, advice.strength) == (AdviceKind.NOTE, 5000.0)
    assert "5000 MB" in advice.title


def test_a_larger_batch_shows_what_it_costs_and_gives():
    advice = advice_of(Evidence(job=JOB, batch=BATCH, queue=WAITING), RuleId.SMALL_BATCH)
    assert advice.evidence["extra_latency_s"] == 14.0
    assert advice.evidence["throughput"] == pytest.approx(40 / 24)
    assert advice.seed_text.startswith("⚡ GPU underutilized - increase batch size")


def test_a_busy_gpu_explains_the_wait_and_an_idle_one_is_looked_into():
    busy = Evidence(job=JOB, queue=replace(WAITING, gpu_busy=0.95))
    note = advice_of(busy, RuleId.QUEUE_WAIT)
    assert (note.kind, note.gain, note.action) == (AdviceKind.NOTE, None, None)
    idle = advice_of(Evidence(job=JOB, queue=WAITING), RuleId.QUEUE_WAIT)
    assert idle.confidence is Confidence.LOW
    assert idle.gain.pct == pytest.approx(30.0)  # 30 s of 60 s wait and 40 s run
    assert idle.evidence["waiting_by_littles_law"] == pytest.approx(3.0)


def test_no_more_is_saved_than_the_job_takes():
    slow = replace(COLD, load_s=900.0)
    assert advice_of(Evidence(job=JOB, residency=slow), RuleId.COLD_START).gain.high_s == 40.0


def test_the_timeout_goes_to_never_and_no_pair_of_jobs_may_judge_it():
    settings = {"idle_offload_s": 60.0}
    advice = advice_of(Evidence(job=JOB, residency=IDLE, settings=settings), RuleId.IDLE_TIMEOUT)
    assert advice.action.to_document() == {
        "setting": "idle_offload_s",
        "from": 60.0,
        "to": -1.0,
        "needs_restart": False,
        "available": False,
    }
    assert advice.evidence["n"] == 4
