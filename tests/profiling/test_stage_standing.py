from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from backend.gpu.peaks import peak_of
from backend.profiling.advice.evidence import DevicePeaks
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import WorkFigures
from backend.profiling.run_summary import RunStage
from backend.profiling.stage_standing import StageBound, standing_of, usual_stage
from tests.profiling.made_runs import made_run

# 100 TFLOP/s in bf16, half in tf32, and 1 TB/s: the ridge lies at 100 operations per byte.
PEAKS = DevicePeaks({"bf16": 100e12, "tf32": 50e12}, 1e12)


def stage(flop=None, moved_bytes=None, *, gpu_s=2.0, elapsed_s=2.0, dtype="bf16", kind="gpu"):
    return RunStage("denoise", kind, elapsed_s, 50.0, gpu_s, None, flop, moved_bytes, dtype)


def test_what_a_stage_reaches_is_told_beside_the_peaks():
    found = standing_of(stage(120e12, 0.5e12), PEAKS)
    assert found.flop_per_s == 60e12
    assert found.bytes_per_s == 0.25e12
    assert found.mfu == pytest.approx(0.6)
    assert found.bandwidth_share == pytest.approx(0.25)
    assert found.intensity == 240.0
    assert found.bound is StageBound.COMPUTE


def test_the_peak_is_that_of_the_type():
    assert standing_of(stage(80e12, 1e9, dtype="tf32"), PEAKS).mfu == pytest.approx(0.8)
    assert standing_of(stage(80e12, 1e9, dtype="bf16"), PEAKS).mfu == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("flop", "moved_bytes", "elapsed_s", "bound"),
    [
        (120e12, 1.0e12, 2.0, StageBound.COMPUTE),
        (40e12, 1.4e12, 2.0, StageBound.MEMORY),
        (0.0, 1.4e12, 2.0, StageBound.MEMORY),
        (19e12, 0.19e12, 2.0, StageBound.LAUNCH),
        (21e12, 0.19e12, 2.0, StageBound.COMPUTE),
        (120e12, 1.0e12, 4.1, StageBound.WAITING),
        (120e12, 1.0e12, 3.9, StageBound.COMPUTE),
        (19e12, 0.1e12, 4.1, StageBound.WAITING),
    ],
)
def test_one_word_says_what_holds_a_stage_back(flop, moved_bytes, elapsed_s, bound):
    assert standing_of(stage(flop, moved_bytes, elapsed_s=elapsed_s), PEAKS).bound is bound


def test_waiting_is_known_without_the_work_and_only_of_stages_on_the_gpu():
    assert standing_of(stage(elapsed_s=5.0), None).bound is StageBound.WAITING
    assert standing_of(stage(elapsed_s=3.0), PEAKS).bound is None
    assert standing_of(stage(elapsed_s=5.0, kind="load"), PEAKS).bound is None


@pytest.mark.parametrize("gpu_s", [None, 0.0])
def test_on_a_processor_nothing_is_said(gpu_s):
    assert standing_of(stage(1e12, 1e9, gpu_s=gpu_s), PEAKS) is None


def test_unknown_peaks_leave_the_rates_and_no_shares():
    found = standing_of(stage(120e12, 1e12), None)
    assert (found.flop_per_s, found.intensity) == (60e12, 120.0)
    assert (found.mfu, found.bandwidth_share, found.bound) == (None, None, None)
    mixed = standing_of(stage(120e12, 1e12, dtype=None), PEAKS)
    assert (mixed.mfu, mixed.bandwidth_share, mixed.bound) == (None, 0.5, None)


@pytest.mark.parametrize("work", [(201e12, 1e9), (1e12, 2.1e12)])
def test_more_than_the_peak_is_a_contradiction_and_not_a_figure(work):
    found = standing_of(stage(*work), PEAKS)
    assert None in (found.mfu, found.bandwidth_share)
    assert found.bound is None


def test_a_throttled_card_is_judged_by_its_clock():
    peak = peak_of("NVIDIA GeForce RTX 4090")
    busy = stage(165.2e12, 1e9, gpu_s=2.0)
    assert standing_of(busy, peak).mfu == pytest.approx(0.5)
    assert standing_of(busy, peak.at_clock(1890)).mfu == pytest.approx(0.5 / 0.75)


def entry(**fields):
    return asdict(replace(stage(120e12, 1e12), **fields))


def test_like_runs_are_summed_up_by_their_medians():
    found = usual_stage([entry(gpu_s=2.0), entry(gpu_s=3.0), entry(gpu_s=9.0)])
    assert (found.gpu_s, found.flop, found.dtype) == (3.0, 120e12, "bf16")


def test_runs_in_another_type_or_without_work_do_not_count_when_the_work_is_known():
    old = {"name": "denoise", "kind": "gpu", "elapsed_s": 50.0, "share_pct": 1.0, "gpu_s": 40.0}
    entries = [old, entry(gpu_s=2.0), entry(gpu_s=4.0, dtype="fp32", flop=1.0), entry(gpu_s=2.2)]
    found = usual_stage(entries)
    assert (found.gpu_s, found.flop, found.dtype) == (pytest.approx(2.1), 120e12, "bf16")


def test_without_any_work_the_times_are_told_alone():
    old = {"name": "denoise", "kind": "gpu", "elapsed_s": 5.0, "share_pct": 1.0, "gpu_s": 4.0}
    found = usual_stage([old, old | {"gpu_s": None}])
    assert (found.gpu_s, found.elapsed_s, found.flop, found.dtype) == (4.0, 5.0, None, None)


def run(stages, device="H200", day=1):
    made = made_run({}, day, total_s=4.0, settings={}, device=device)
    return replace(made, stages=tuple(RunStage(**found) for found in stages))


def test_stored_work_becomes_evidence_of_the_newest_device():
    runs = [
        run([entry(gpu_s=2.0)], day=3), run([entry(gpu_s=2.2)], day=2),
        run([entry(gpu_s=90.0)], device="L4", day=1),
    ]  # fmt: skip
    (found,) = evidence_of_runs(runs).stages
    assert found.work == WorkFigures(pytest.approx(2.1), 120e12, 1e12, "bf16")
    assert found.n == 3
    (unknown,) = evidence_of_runs([run([entry(flop=None)])]).stages
    assert unknown.work is None


@pytest.mark.parametrize(
    ("flop", "moved_bytes", "rule"),
    [(40e12, 1.6e12, RuleId.MEMORY_BOUND), (130e12, 1e9, RuleId.GOOD_ALREADY)],
)
def test_stored_work_alone_lets_the_roofline_rules_speak(flop, moved_bytes, rule):
    runs = [run([entry(flop=flop, moved_bytes=moved_bytes)], day=day) for day in range(6, 0, -1)]
    evidence = replace(evidence_of_runs(runs), peaks=PEAKS)
    assert [advice.rule for advice in recommend(evidence)] == [rule]
    assert recommend(evidence_of_runs(runs)) == []
