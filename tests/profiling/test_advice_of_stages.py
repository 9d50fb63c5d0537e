"""From what engines note of their stages, and what was timed of their networks, to the rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.profiling.advice.evidence import DevicePeaks, Evidence, JobTimes, QueueFigures
from backend.profiling.advice.facts_of_stage import figures_of
from backend.profiling.advice.from_runs import evidence_of_runs, stage_in_runs
from backend.profiling.advice.model_times import ModelTimes, forwards_of, with_model_times
from backend.profiling.advice.ranking import recommend, seed_lines
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import (
    AttentionFigures,
    CompileFigures,
    DecodeFigures,
    GuidanceFigures,
    MatmulFigures,
    StageEvidence,
    StepFigures,
)
from backend.profiling.run_summary import RunStage, noted_text
from backend.profiling.spans import SpanKind
from tests.profiling.made_runs import made_run

CARD = "NVIDIA H200"
DENSE = {
    "resolution": 63, "queries": 64**3, "hierarchical_queries": 64**3 // 8, "same_surface": True,
    "lower_resolution": 48,
}  # fmt: skip
ATTENTION = {
    "backend": "math", "best_backend": "sdpa_flash", "now_s": 0.02, "best_s": 0.01, "calls": 100,
}  # fmt: skip
LOOP = {"steps": 30, "fewer_steps": 20, "forwards_per_step": 2}
DENOISE = "shape/denoise"


def inner(name, elapsed_s, total_s=10.0, **figures):
    kind = figures.pop("kind", "gpu")
    share_pct, gpu_s = 100 * elapsed_s / total_s, figures.pop("gpu_s", None)
    noted = noted_text(figures.pop("facts", {}), figures.pop("inner", ()))
    return RunStage(name, kind, elapsed_s, share_pct, gpu_s, None, **figures, noted=noted)


def run_of(*stages, number=1, device=CARD, **fields):
    made = made_run({}, number, total_s=10.0, device=device, **fields)
    return replace(made, stages=stages)


def shape_with(*parts, elapsed_s=8.0, **figures):
    return inner("shape", elapsed_s, inner=tuple(parts), **{"kind": "cpu"} | figures)


def by_name(evidence):
    return {stage.name: stage for stage in evidence.stages}


def told(name, *documents, elapsed_s=4.0):
    """A stage in one run per document, newest first."""
    return figures_of([inner("a", elapsed_s, facts={name: found}) for found in documents])


def test_stages_inside_others_are_told_with_their_part_of_the_job():
    runs = [
        run_of(shape_with(inner(DENOISE, part_s, facts={"loop": LOOP})), number=9 - place)
        for place, part_s in enumerate((5.0, 6.0, 7.0))
    ]
    found = by_name(evidence_of_runs(runs))
    assert (found["shape"].share, found["shape"].parent) == (pytest.approx(0.8), None)
    denoise = found[DENOISE]
    assert (denoise.share, denoise.n, denoise.parent) == (pytest.approx(0.6), 3, "shape")
    assert (denoise.kind, denoise.steps) == (SpanKind.GPU, StepFigures(30, 20))
    assert [stage.elapsed_s for stage in stage_in_runs(runs, DENOISE)] == [5.0, 6.0, 7.0]


def test_stages_inside_others_leave_the_shares_of_the_job_alone():
    overlapping = inner("export", 8.0, kind="cpu")
    whole = shape_with(inner(DENOISE, 7.9), inner("shape/denoise/step", 6.0))
    found = by_name(evidence_of_runs([run_of(whole, overlapping)]))
    shares = {name: stage.share for name, stage in found.items()}
    assert shares == pytest.approx(
        {"shape": 0.5, "export": 0.5, DENOISE: 0.79 / 1.6, "shape/denoise/step": 0.6 / 1.6}
    )
    assert found["shape/denoise/step"].parent == DENOISE


def test_a_part_takes_no_more_than_the_whole():
    runs = [
        run_of(shape_with(inner("shape/decode", 6.0), elapsed_s=6.0)),
        run_of(shape_with(elapsed_s=2.0)),
        run_of(shape_with(elapsed_s=2.0)),
    ]
    found = by_name(evidence_of_runs(runs))
    assert found["shape/decode"].share == found["shape"].share == pytest.approx(0.2)


def test_time_inside_a_stage_counts_once_and_as_what_it_is():
    step = inner("shape/denoise/step", 3.0, kind="cpu")
    found = evidence_of_runs([run_of(shape_with(inner(DENOISE, 5.0), step))])
    assert found.share_of(SpanKind.GPU) == pytest.approx(0.2)  # 5 s less 3 s inside
    assert found.share_of(SpanKind.CPU) == pytest.approx(0.6)  # 3 s around it and 3 s inside
    assert [line for line in seed_lines(found, []) if "denoise" in line] == []


def test_on_a_processor_nothing_counts_as_time_on_a_gpu():
    """Jobs that wait would otherwise be told of an idle GPU that is not there."""
    stages = (shape_with(inner(DENOISE, 5.0, facts={"products": {"dtype": "fp32"}})),)
    runs = [run_of(*stages, number=n, device=None) for n in range(6)]
    found = evidence_of_runs(runs)
    assert {stage.kind for stage in found.stages} == {SpanKind.CPU}
    assert found.share_of(SpanKind.GPU) == 0
    waiting = replace(found, queue=QueueFigures(6, 1.0, waiting=3.0))
    assert recommend(waiting) == []
    on_a_card = evidence_of_runs([replace(run, device=CARD) for run in runs])
    [advice] = recommend(replace(on_a_card, queue=QueueFigures(6, 1.0, waiting=3.0)))
    assert advice.rule is RuleId.CPU_IN_THE_WAY


def test_attention_is_a_share_of_its_stage():
    found = told("attention", ATTENTION, ATTENTION | {"calls": 50}, ATTENTION | {"now_s": 0.03})
    assert found.attention == AttentionFigures("math", "sdpa_flash", 0.5, 0.02, 0.01)
    [whole] = [told("attention", ATTENTION | {"calls": 1000}).attention]
    assert whole.share == 1.0


def test_attention_is_set_beside_what_was_best_most_often():
    other = {"best_backend": "math", "best_s": 0.02}
    found = told("attention", ATTENTION | other, ATTENTION, ATTENTION, ATTENTION | {"calls": 0})
    assert found.attention.best_backend == "sdpa_flash"
    slow = {"now_s": 0.5, "best_s": 0.4}
    mixed = [ATTENTION | slow | {"best_backend": name} for name in ("math", "sdpa_efficient")]
    found = told("attention", *mixed, ATTENTION, ATTENTION)
    assert (found.attention.now_s, found.attention.best_s) == (0.02, 0.01), "of like runs alone"
    now = {"backend": "sdpa_efficient"}
    assert told("attention", ATTENTION | now, ATTENTION).attention.backend == "sdpa_efficient"


@pytest.mark.parametrize("missing", ATTENTION)
def test_attention_that_was_not_timed_is_not_told(missing):
    assert told("attention", ATTENTION | {missing: None}).attention is None


def test_a_decode_is_lossless_only_if_every_shape_kept_its_surface():
    def same(*values):
        return told("decode", *(DENSE | {"same_surface": one} for one in values)).decode

    assert same(True, True) == DecodeFigures(63, 64**3, 64**3 // 8, 48, same_surface=True)
    assert same(True, False, None).same_surface is False
    assert same(True, None).same_surface is None
    assert told("decode", DENSE | {"queries": None}).decode is None


def test_a_decode_is_that_of_the_newest_resolution():
    coarse = {"resolution": 31, "queries": 32**3, "hierarchical_queries": 999}
    assert told("decode", DENSE, coarse).decode.hierarchical_queries == 64**3 // 8
    assert told("decode", coarse, DENSE).decode.queries == 32**3


def test_compiling_again_is_a_mean_over_jobs():
    compiled = {"is_on": True, "graph_breaks": 2, "recompiles": 0, "recompile_s": 0.0}
    again = compiled | {"recompiles": 2, "recompile_s": 3.0, "compile_s": 9.0}
    found = told("compiled", compiled, compiled, again, {"is_on": False}).compiled
    assert (found.is_on, found.graph_breaks, found.compile_s) == (True, 2, 9.0)
    assert (found.recompiles_per_job, found.recompile_s) == pytest.approx((2 / 3, 1.0))
    assert told("compiled", {"is_on": False}).compiled == CompileFigures(is_on=False)


def test_products_and_steps_are_told_where_they_are_known():
    products = {"dtype": "fp32", "largest": [8, 8, 8], "flop_share": 0.9}
    assert told("products", products).matmul == MatmulFigures("fp32", 0.9)
    assert told("products", products | {"flop_share": None}).matmul is None
    assert told("loop", LOOP | {"fewer_steps": None}).steps is None
    assert set(vars(figures_of([])).values()) == {None}


def timed(times, stage=None, calls=100, peaks=None, **figures):
    """The stage with what was timed: 4 s of the 10 s of a job, 100 forwards."""
    runs = [inner(DENOISE, 4.0, calls=calls, facts={"loop": LOOP}, gpu_s=4.0, dtype="fp32")]
    runs[0] = replace(runs[0], **figures)
    stage = stage or StageEvidence(DENOISE, SpanKind.GPU, 0.4, 6)
    evidence = Evidence(JobTimes(10.0, 6), (stage,), peaks=peaks)
    found = with_model_times(evidence, stage, runs, ModelTimes(**times), 24.0)
    return found, replace(evidence, stages=(found,))


def test_a_forward_timed_in_bf16_tells_what_the_stage_gains():
    """Of the 4 s the forwards take 3 s; three times as fast they take 1 s."""
    stage, evidence = timed({"single_s": 0.03, "bf16_factor": 3.0})
    assert stage.matmul == MatmulFigures("fp32", pytest.approx(0.75), 3.0)
    [advice] = recommend(evidence)
    assert (advice.rule, advice.gain.s_per_job) == (RuleId.FULL_PRECISION, pytest.approx(2.0))
    unknown, _ = timed({"single_s": 0.03, "bf16_factor": 3.0}, dtype=None)
    assert unknown.matmul is None


def test_forwards_that_were_not_counted_are_those_of_the_loop():
    run = inner(DENOISE, 4.0, facts={"loop": LOOP})
    assert forwards_of([run], 0.01).total_s == pytest.approx(0.6)
    assert forwards_of([replace(run, calls=7)], 0.01).share == pytest.approx(0.0175)
    assert forwards_of([replace(run, noted=None)], 0.01) is None
    assert forwards_of([run], None) is None


def test_forwards_take_no_longer_than_their_stage():
    """The largest call was timed; with smaller ones among the 600 all take at most 4 s."""
    found = forwards_of([replace(inner(DENOISE, 4.0), calls=600)], 0.01)
    assert (found.share, found.total_s) == (1.0, 4.0)
    stage, _ = timed({"single_s": 1.0, "eager_s": 0.02, "compiled_s": 0.01, "compile_s": 1.0})
    assert (stage.compiled.eager_s, stage.compiled.compiled_s) == (4.0, 2.0)


def test_guidance_is_told_only_beside_the_peak_of_the_device():
    times = {"single_s": 0.03, "double_s": 0.04, "fits": True}
    work = evidence_of_runs(
        [
            run_of(
                shape_with(inner(DENOISE, 4.0, gpu_s=4.0, flop=4e12, moved_bytes=1e9, dtype="fp32"))
            )
        ]
    )
    stage = by_name(work)[DENOISE]
    unknown, _ = timed(times, stage)
    assert unknown.guidance is None
    peaks = DevicePeaks({"fp32": 10e12}, 1e12)
    known, evidence = timed(times, stage, peaks=peaks)
    assert known.guidance == GuidanceFigures(
        2, 0.03, 0.04, pytest.approx(0.1), fits=True, share=pytest.approx(0.75)
    )
    rules = {advice.rule: advice for advice in recommend(replace(evidence, job=JobTimes(10.0, 6)))}
    assert RuleId.GUIDANCE_TWICE not in rules  # one run is no evidence
    enough = replace(evidence, stages=(replace(known, n=6),))
    rules = {advice.rule: advice for advice in recommend(enough)}
    # 3 s of forwards become 2 s
    assert rules[RuleId.GUIDANCE_TWICE].gain.s_per_job == pytest.approx(1.0)
    no_room, _ = timed(times | {"fits": False}, replace(stage, n=6), peaks=peaks)
    assert RuleId.GUIDANCE_TWICE not in {
        advice.rule for advice in recommend(replace(evidence, stages=(no_room,)))
    }


def test_a_compiled_forward_is_worked_out_for_a_job():
    times = {"single_s": 0.03, "eager_s": 0.03, "compiled_s": 0.01, "compile_s": 12.0}
    stage, evidence = timed(times)
    assert stage.compiled == CompileFigures(
        False, pytest.approx(3.0), pytest.approx(1.0), 12.0, jobs_per_day=24.0
    )
    [advice] = recommend(evidence)
    # 2 s less the part of 12 s that each of the 24 jobs of a day bears
    assert (advice.gain.low_s, advice.gain.high_s) == pytest.approx((1.5, 2.0))
    compiled = StageEvidence(DENOISE, SpanKind.GPU, 0.4, 6, compiled=CompileFigures(is_on=True))
    assert timed(times, compiled)[0].compiled == CompileFigures(is_on=True)
    assert timed(times | {"compiled_s": None})[0].compiled is None


def test_a_dense_decode_inside_a_stage_is_advised_as_harmless_or_not():
    def advice_on(document):
        part = inner("shape/decode_volume", 4.0, facts={"decode": document})
        runs = [run_of(shape_with(part), number=n, device=None) for n in range(6)]
        found = replace(evidence_of_runs(runs), settings={"decode": "dense"})
        return {advice.rule: advice for advice in recommend(found)}[RuleId.DENSE_DECODE]

    harmless, risky = advice_on(DENSE), advice_on(DENSE | {"same_surface": False})
    assert harmless.gain.s_per_job == pytest.approx(3.5)
    assert (harmless.action.available, harmless.may_auto_apply) == (True, True)
    assert "would have been the same" in harmless.detail
    assert (risky.quality_risk.value, risky.may_auto_apply) == ("lossy", False)
    assert "may be lost" in risky.detail
    # 4 s with 1 s of bookkeeping in it: 3 s of asking become an eighth, the 1 s stays
    slowed = advice_on(DENSE | {"bookkeeping_s": 1.0})
    assert slowed.gain.s_per_job == pytest.approx(4.0 - (3.0 / 8 + 1.0))
