from __future__ import annotations

from dataclasses import replace

import pytest

from backend.profiling.advice import rules_compile, rules_compute, rules_quality
from backend.profiling.advice.advice import AdviceKind, Confidence, Method, QualityRisk
from backend.profiling.advice.evidence import DevicePeaks, Evidence, JobTimes
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import (
    AttentionFigures,
    CompileFigures,
    DecodeFigures,
    GuidanceFigures,
    LaunchFigures,
    MatmulFigures,
    StageEvidence,
    StepFigures,
    SyncFigures,
    WorkFigures,
)
from backend.profiling.spans import SpanKind
from backend.runtime_settings import RUNTIME_SETTINGS

RULES = (*rules_compute.RULES, *rules_compile.RULES, *rules_quality.RULES)
PEAKS = DevicePeaks({"fp32": 50e12, "bf16": 200e12}, 1e12)
# 20 s of a job of 40 s.
STAGE = StageEvidence("denoise", SpanKind.GPU, 0.5, 8)


def evidence(peaks=None, settings=None, **figures):
    stage = replace(STAGE, **figures)
    return Evidence(JobTimes(40.0, 10), (stage,), settings or {}, peaks)


def advice_of(found, rule):
    given = {advice.rule: advice for rule in RULES if (advice := rule(found)) is not None}
    return given.get(rule)


FIRES = [
    # rule, figures, peaks, low, high of 40 s with a stage of 20 s
    (
        RuleId.FULL_PRECISION,  # 20 s (1 - 1/k): 80 % of it twice as fast leaves 12 s
        {"matmul": MatmulFigures("fp32", 0.8, bf16_factor=2.0)},
        None,
        (8.0, 8.0),
    ),
    (  # at most 200 / 50 = 4 times as fast: 80 % shrinks to 20 %, which leaves 8 s
        RuleId.FULL_PRECISION,
        {"matmul": MatmulFigures("fp32", 0.8)},
        PEAKS,
        (0.0, 12.0),
    ),
    (  # bound by memory, so by bytes: 2 times, and 100 % of it
        RuleId.FULL_PRECISION,
        {"matmul": MatmulFigures("fp32", 1.0), "work": WorkFigures(20.0, 1e12, 6e12)},
        PEAKS,
        (0.0, 10.0),
    ),
    (  # the roof: 2000e12 take 10 s at bf16's peak of the 20 s, of which 0.7 is promised: 1.4
        RuleId.FULL_PRECISION,
        {"matmul": MatmulFigures("fp32", 1.0), "work": WorkFigures(40.0, 4000e12, 1e12)},
        replace(PEAKS, flop_per_s={"fp32": 100e12, "bf16": 200e12}),
        (0.0, 20.0 * (1 - 1 / 1.4)),
    ),
    (  # a quarter of the stage twice as fast: 20 s / 8
        RuleId.SLOW_ATTENTION,
        {"attention": AttentionFigures("math", "sdpa_flash", 0.25, 0.004, 0.002)},
        None,
        (2.5, 2.5),
    ),
    (  # 20 s (1 - 1.5 / 2)
        RuleId.GUIDANCE_TWICE,
        {"guidance": GuidanceFigures(2, 0.1, 0.15, 0.3, fits=True)},
        None,
        (5.0, 5.0),
    ),
    (RuleId.LAUNCH_BOUND, {"launch": LaunchFigures(4.0, 1.0)}, None, (0.0, 5.0)),
    (RuleId.LAUNCH_BOUND, {"launch": LaunchFigures(1.0, 1.0, 6.0)}, None, (0.0, 2.0)),
    (RuleId.HOST_SYNC, {"sync": SyncFigures(2.0, 6.0, "dit.py:10")}, None, (0.0, 6.0)),
    (  # 16e12 bytes in 20 s are 80 % of the peak: 20 s (1 - 0.8)
        RuleId.MEMORY_BOUND,
        {"matmul": MatmulFigures("bf16", 0.8), "work": WorkFigures(20.0, 1e12, 16e12)},
        PEAKS,
        (0.0, 4.0),
    ),
    (  # at least 6 s less the day's share of the compilation: 6 - 60 / 30
        RuleId.COMPILE,
        {"compiled": CompileFigures(False, 18.0, 12.0, 60.0, 30.0)},
        None,
        (4.0, 6.0),
    ),
    (
        RuleId.RECOMPILES,
        {
            "compiled": CompileFigures(
                True, graph_breaks=3, recompiles_per_job=0.5, recompile_s=2.0, skipped_s=1.0
            )
        },
        None,
        (3.0, 3.0),
    ),
    (RuleId.STEPS, {"steps": StepFigures(50, 30)}, None, (8.0, 8.0)),  # 20 s (1 - 30 / 50)
    (  # 65^3 points against a quarter of them: 20 s * 3 / 4
        RuleId.DENSE_DECODE,
        {"decode": DecodeFigures(63, 64**3, 64**3 // 4)},
        None,
        (15.0, 15.0),
    ),
    (  # half the side of a dense grid is an eighth of the points
        RuleId.DECODE_RESOLUTION,
        {"decode": DecodeFigures(256, 257**3, lower_resolution=128)},
        None,
        (17.5, 17.5),
    ),
    (  # and a quarter of a surface
        RuleId.DECODE_RESOLUTION,
        {"decode": DecodeFigures(256, 400_000, lower_resolution=128)},
        None,
        (15.0, 15.0),
    ),
]


@pytest.mark.parametrize(("rule", "figures", "peaks", "expected"), FIRES)
def test_a_rule_gives_the_gain_worked_out_by_hand(rule, figures, peaks, expected):
    advice = advice_of(evidence(peaks, **figures), rule)
    assert (advice.gain.low_s, advice.gain.high_s) == pytest.approx(expected)
    assert advice.gain.s_per_job == pytest.approx(sum(expected) / 2)
    assert advice.gain.pct == pytest.approx(sum(expected) / 2 / 40 * 100)
    assert advice.stage == "denoise"
    assert advice.evidence["n"] == 8
    assert "denoise" in advice.title


SILENT = [
    (RuleId.FULL_PRECISION, {"matmul": MatmulFigures("bf16", 0.8)}, PEAKS),
    (RuleId.FULL_PRECISION, {"matmul": MatmulFigures("fp32", 0.8)}, None),
    (RuleId.FULL_PRECISION, {"matmul": MatmulFigures("fp32", 0.8, bf16_factor=0.9)}, PEAKS),
    (
        RuleId.FULL_PRECISION,
        {"matmul": MatmulFigures("fp32", 0.8, 2.0), "kind": SpanKind.CPU},
        None,
    ),
    (RuleId.SLOW_ATTENTION, {"attention": AttentionFigures("math", "flash", 0.09, 2.0, 1.0)}, None),
    (RuleId.SLOW_ATTENTION, {"attention": AttentionFigures("flash", "flash", 0.5, 2.0, 1.0)}, None),
    (RuleId.SLOW_ATTENTION, {"attention": AttentionFigures("math", "flash", 0.5, 1.0, 1.0)}, None),
    (RuleId.GUIDANCE_TWICE, {"guidance": GuidanceFigures(2, 0.1, 0.15, 0.5, fits=True)}, None),
    (RuleId.GUIDANCE_TWICE, {"guidance": GuidanceFigures(2, 0.1, 0.15, 0.3, fits=None)}, None),
    (RuleId.GUIDANCE_TWICE, {"guidance": GuidanceFigures(2, 0.1, 0.2, 0.3, fits=True)}, None),
    (RuleId.GUIDANCE_TWICE, {"guidance": GuidanceFigures(1, 0.1, 0.15, 0.3, fits=True)}, None),
    (RuleId.LAUNCH_BOUND, {"launch": LaunchFigures(2.9, 9.0, 10.0)}, None),
    (RuleId.HOST_SYNC, {"sync": SyncFigures(1.0, 6.0)}, None),
    (RuleId.COMPILE, {"compiled": CompileFigures(False, 18.0, 12.0, 60.0, 20.0)}, None),
    (RuleId.COMPILE, {"compiled": CompileFigures(True, 18.0, 12.0, 60.0, 30.0)}, None),
    (RuleId.COMPILE, {"compiled": CompileFigures(False, 12.0, 12.0, 60.0, 30.0)}, None),
    (RuleId.RECOMPILES, {"compiled": CompileFigures(True, graph_breaks=0, recompile_s=0.0)}, None),
    (RuleId.RECOMPILES, {"compiled": CompileFigures(True, graph_breaks=4)}, None),
    (RuleId.STEPS, {"steps": StepFigures(30, 30)}, None),
    (RuleId.DENSE_DECODE, {"decode": DecodeFigures(63, 64**3 - 1, 1000)}, None),
    (RuleId.DENSE_DECODE, {"decode": DecodeFigures(63, 64**3, 1000), "share": 0.19}, None),
    (RuleId.DENSE_DECODE, {"decode": DecodeFigures(63, 64**3)}, None),
    (RuleId.DECODE_RESOLUTION, {"decode": DecodeFigures(256, 257**3, lower_resolution=256)}, None),
    (
        RuleId.MEMORY_BOUND,  # 70 % of the peak is not above it
        {"matmul": MatmulFigures("bf16", 0.8), "work": WorkFigures(20.0, 1e12, 14e12)},
        PEAKS,
    ),
    (
        RuleId.MEMORY_BOUND,  # more than the peak: the counts are wrong
        {"matmul": MatmulFigures("bf16", 0.8), "work": WorkFigures(20.0, 1e12, 30e12)},
        PEAKS,
    ),
    (
        RuleId.GOOD_ALREADY,  # a third of the peak
        {"matmul": MatmulFigures("bf16", 0.8), "work": WorkFigures(15.0, 1000e12, 1e12)},
        PEAKS,
    ),
]


@pytest.mark.parametrize(("rule", "figures", "peaks"), SILENT)
def test_a_rule_is_silent_below_its_threshold(rule, figures, peaks):
    assert advice_of(evidence(peaks, **figures), rule) is None


def test_a_stage_near_the_peak_is_left_alone():
    figures = {"matmul": MatmulFigures("bf16", 0.8), "work": WorkFigures(15.0, 2400e12, 1e12)}
    advice = advice_of(evidence(PEAKS, **figures), RuleId.GOOD_ALREADY)
    assert advice.kind is AdviceKind.NOTE
    assert advice.evidence["mfu"] == pytest.approx(0.8)  # 160 of 200 TFLOP/s
    assert advice.evidence["factor_max"] == pytest.approx(1.25)
    assert advice.gain is None
    assert advice.action is None


def test_a_bound_is_an_experiment_and_a_timing_is_advice():
    bound = advice_of(evidence(PEAKS, matmul=MatmulFigures("fp32", 0.8)), RuleId.FULL_PRECISION)
    timed = advice_of(evidence(matmul=MatmulFigures("fp32", 0.8, 2.0)), RuleId.FULL_PRECISION)
    assert (bound.confidence, bound.kind) == (Confidence.LOW, AdviceKind.EXPERIMENT)
    assert bound.method is Method.ROOFLINE
    assert (timed.confidence, timed.kind) == (Confidence.MEDIUM, AdviceKind.ADVICE)
    assert timed.method is Method.AMDAHL


@pytest.mark.parametrize(
    ("rule", "figures"),
    [
        (RuleId.STEPS, {"steps": StepFigures(50, 30)}),
        (RuleId.DENSE_DECODE, {"decode": DecodeFigures(63, 64**3, 1000)}),
        (RuleId.DECODE_RESOLUTION, {"decode": DecodeFigures(256, 257**3, lower_resolution=128)}),
    ],
)
def test_what_may_change_the_result_is_never_applied_unasked(monkeypatch, rule, figures):
    settings = {"steps": 50, "decode": "dense", "octree_resolution": 256}
    changeable = dict.fromkeys(settings, RUNTIME_SETTINGS["export_threads"])
    monkeypatch.setattr("backend.profiling.advice.rule.RUNTIME_SETTINGS", changeable)
    advice = advice_of(evidence(settings=settings, **figures), rule)
    assert advice.action.available
    assert advice.quality_risk is QualityRisk.LOSSY
    assert not advice.may_auto_apply


def test_an_assumed_exponent_is_less_sure_than_a_fitted_one():
    assumed = DecodeFigures(256, 400_000, lower_resolution=128)
    fitted = replace(assumed, exponent=1.0)
    one = advice_of(evidence(decode=assumed), RuleId.DECODE_RESOLUTION)
    other = advice_of(evidence(decode=fitted), RuleId.DECODE_RESOLUTION)
    assert (one.confidence, other.confidence) == (Confidence.LOW, Confidence.MEDIUM)
    assert other.gain.high_s == pytest.approx(10.0)


def test_the_stage_that_saves_most_is_named():
    steps = StepFigures(50, 25)
    small = StageEvidence("texture", SpanKind.GPU, 0.1, 8, steps=steps)
    large = StageEvidence("shape", SpanKind.GPU, 0.4, 8, steps=steps)
    found = Evidence(JobTimes(100.0, 9), (small, large))
    advice = advice_of(found, RuleId.STEPS)
    assert (advice.stage, advice.gain.s_per_job) == ("shape", pytest.approx(20.0))
