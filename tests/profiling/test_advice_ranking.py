from __future__ import annotations

import doctest
import json
import string
from dataclasses import replace

import pytest

from backend.profiling.advice import rule, texts
from backend.profiling.advice.advice import Advice, AdviceKind, Confidence
from backend.profiling.advice.evidence import (
    CacheClearingFigures,
    Evidence,
    GpuSamples,
    JobTimes,
    QueueFigures,
    ResidencyFigures,
)
from backend.profiling.advice.ranking import MOST_SHOWN, RULES, recommend, seed_lines
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import (
    AttentionFigures,
    CompileFigures,
    EncodeFigures,
    LaunchFigures,
    MatmulFigures,
    StageEvidence,
    StepFigures,
    SyncFigures,
)
from backend.profiling.experiment import Arm, Experiment, ExperimentState, arm_of_slot
from backend.profiling.spans import SpanKind
from backend.web.pages.advice_view import advice_item

JOB = JobTimes(100.0, 10, "2026-11-01/2026-11-20")
HOT = GpuSamples(50, {"thermal": 0.4})
ATTENTION = AttentionFigures("math", "sdpa_flash", 0.5, 0.004, 0.002)
SHAPE = StageEvidence("shape_generation", SpanKind.GPU, 0.526, 10, attention=ATTENTION)
SETTINGS = {"attention": "math"}
FOUND = Evidence(JOB, (SHAPE,), SETTINGS)
IDENTIFIER = "slow_attention.shape_generation"
SAVED_S = 13.15  # 52.6 s, half of it twice as fast


def test_the_examples_hold():
    for module in (texts, rule):
        result = doctest.testmod(module)
        assert (result.attempted >= 1, result.failed) == (True, 0)


@pytest.mark.parametrize("look", RULES, ids=lambda look: look.__name__)
@pytest.mark.parametrize(
    "known",
    [
        Evidence(),
        Evidence(job=JOB),
        Evidence(stages=(SHAPE,)),
        Evidence(JOB, (replace(SHAPE, attention=None),)),
        Evidence(JOB, gpu=GpuSamples(50), residency=ResidencyFigures(10)),
        Evidence(JOB, queue=QueueFigures(10, 900.0)),
    ],
    ids=["nothing", "job", "no job", "bare stage", "bare device", "bare queue"],
)
def test_no_rule_speaks_without_its_evidence(look, known):
    assert look(known) is None


def test_every_rule_has_words_and_its_own_place():
    assert set(texts.TEMPLATES) == set(RuleId)
    assert len(RULES) == len(RuleId) == 25


@pytest.mark.parametrize("words", texts.TEMPLATES.values(), ids=lambda words: words.title)
def test_unknown_figures_are_called_unknown(words):
    fields = {
        name for _, name, _, _ in string.Formatter().parse(words.title + words.detail) if name
    }
    rule_id = next(key for key, value in texts.TEMPLATES.items() if value is words)
    filled = texts.wording(rule_id, dict.fromkeys(fields))
    assert (filled.title + filled.detail).count("unknown") >= len(fields)


def test_advice_carries_all_that_backs_it():
    [advice] = recommend(FOUND)
    document = json.loads(json.dumps(advice.to_document()))
    assert document["id"] == IDENTIFIER
    assert document["gain"] == pytest.approx(
        {"s_per_job": SAVED_S, "pct": 13.15, "low": SAVED_S, "high": SAVED_S, "ceiling": 52.6}
    )
    assert document["evidence"] == {
        "backend": "math",
        "best_backend": "sdpa_flash",
        "attention_share": 0.5,
        "factor": 2.0,
        "n": 10,
        "window": "2026-11-01/2026-11-20",
    }
    assert (document["method"], document["confidence"]) == ("amdahl", "medium")
    assert document["action"]["from"] == "math"
    assert document["verify"] is None
    assert document["action"]["available"] is True
    assert document["may_auto_apply"] is True


def test_advice_on_a_stage_inside_another_has_a_name_for_an_address():
    [advice] = recommend(replace(FOUND, stages=(SHAPE, replace(SHAPE, name="a/b", share=0.9))))
    assert (advice.stage, advice.advice_id) == ("a/b", "slow_attention.a.b")


def test_only_a_setting_that_jobs_read_can_be_applied():
    """The precision is in force and on record, but nothing reads it between two jobs."""
    encode = EncodeFigures("export_compression", 9, 1, 6.0, 1.0)
    export = StageEvidence("mesh_export", SpanKind.CPU, 0.4, 10, encode=encode)
    wide = replace(SHAPE, attention=None, matmul=MatmulFigures("fp32", 0.9, bf16_factor=3.0))
    settings = {"precision": "fp32", "export_compression": 9}
    slow_export, precision = recommend(Evidence(JOB, (export, wide), settings))[::-1]
    assert slow_export.action.to_document() == {
        "setting": "export_compression",
        "from": 9,
        "to": 1,
        "needs_restart": False,
        "available": True,
    }
    assert slow_export.may_auto_apply
    assert (precision.action.available, precision.action.needs_restart) == (False, True)
    [unknown] = recommend(Evidence(JOB, (export,), {}))
    assert not unknown.action.available


def test_few_runs_are_no_evidence():
    assert recommend(replace(FOUND, job=replace(JOB, n=4))) == []
    assert recommend(replace(FOUND, stages=(replace(SHAPE, n=4),))) == []
    assert len(recommend(replace(FOUND, job=replace(JOB, n=5)))) == 1


def test_throttling_is_told_at_once():
    few = Evidence(replace(JOB, n=1), gpu=HOT)
    assert [advice.rule for advice in recommend(few)] == [RuleId.THROTTLED]


@pytest.mark.parametrize(
    ("total_s", "lost_s", "shown"),
    [(10.0, 0.29, 0), (10.0, 0.31, 1), (100.0, 1.01, 1), (50.0, 0.99, 0)],
)
def test_a_saving_takes_three_percent_or_a_second(total_s, lost_s, shown):
    cleared = Evidence(JobTimes(total_s, 10), cache_clearing=CacheClearingFigures(10, lost_s))
    assert len(recommend(cleared)) == shown


def test_what_is_in_force_is_not_advised():
    assert recommend(replace(FOUND, settings={"attention": "sdpa_flash"})) == []


def test_a_setting_the_program_lacks_is_not_applied_unasked():
    [advice] = recommend(replace(FOUND, settings={}))
    assert not advice.action.available
    assert not advice.may_auto_apply


def many():
    stages = (
        StageEvidence("a", SpanKind.GPU, 0.2, 10, attention=ATTENTION),  # 5 s, medium
        StageEvidence("b", SpanKind.GPU, 0.2, 10, launch=LaunchFigures(16.0, 0.0)),  # 8 s, low
        StageEvidence("c", SpanKind.GPU, 0.2, 10, steps=StepFigures(20, 10)),  # 10 s, medium
        StageEvidence("d", SpanKind.GPU, 0.1, 10, sync=SyncFigures(3.0, 4.0)),  # 2 s, low
        StageEvidence(
            "e", SpanKind.IO, 0.1, 10, encode=EncodeFigures("png_level", 6, 1, 6.0, 1.0)
        ),  # 5 s, medium
        StageEvidence(
            "f", SpanKind.GPU, 0.1, 10, compiled=CompileFigures(False, 9.0, 6.0, 1.0, 100.0)
        ),  # 3 s, medium
        StageEvidence("g", SpanKind.GPU, 0.1, 10, matmul=MatmulFigures("fp32", 1.0, 2.0)),  # 5 s
    )
    return Evidence(JOB, stages, gpu=replace(HOT, others_mb=9000.0))


def test_five_are_shown_by_seconds_times_confidence():
    shown = recommend(many())
    assert len(shown) == MOST_SHOWN
    assert [advice.rule for advice in shown] == [
        RuleId.THROTTLED,
        RuleId.STEPS,  # 10 s * 0.7
        RuleId.FULL_PRECISION,  # 5 s * 0.7, by name
        RuleId.SLOW_ATTENTION,
        RuleId.SLOW_ENCODING,
    ]


def test_an_unsure_saving_stands_behind_a_smaller_sure_one():
    bound = StageEvidence("b", SpanKind.GPU, 0.2, 10, launch=LaunchFigures(16.0, 0.0))
    timed = StageEvidence("a", SpanKind.GPU, 0.2, 10, attention=ATTENTION)
    shown = recommend(Evidence(JOB, (bound, timed)))
    assert [advice.gain.s_per_job for advice in shown] == pytest.approx([5.0, 8.0])


def test_notes_come_last():
    noted = replace(FOUND, gpu=GpuSamples(50, others_mb=90_000.0))
    assert [advice.kind for advice in recommend(noted)] == [AdviceKind.ADVICE, AdviceKind.NOTE]


def proposed(evidence=SAVED_S, new="sdpa_flash", old="math"):
    return Experiment(IDENTIFIER, "attention", old, new, evidence, seed=3)


def settled(new_s, new="sdpa_flash", old="math", scatter=()):
    """Run a trial to its end: the old value takes about 100 s."""
    test = proposed(new=new, old=old).apply()
    index = 0
    while test.state is ExperimentState.APPLIED:
        job = f"job{index}"
        test = test.assign(job)
        is_new = arm_of_slot(3, index) is Arm.NEW
        factor = scatter[index // 2 % len(scatter)] if scatter and is_new else 1.0
        test = test.measured(job, (new_s if is_new else 100.0) * factor)
        index += 1
    return test


def test_dismissed_advice_stays_away_until_the_evidence_moves():
    gone = {IDENTIFIER: proposed().dismiss()}
    assert recommend(FOUND, gone) == []
    slightly = replace(FOUND, job=replace(JOB, total_s=119.0))
    assert recommend(slightly, gone) == []
    clearly = replace(FOUND, job=replace(JOB, total_s=121.0))
    [advice] = recommend(clearly, gone)
    assert advice.test is None


def test_dismissed_advice_makes_room_for_the_next_stage():
    second = StageEvidence("texture", SpanKind.GPU, 0.2, 10, attention=ATTENTION)
    both = replace(FOUND, stages=(SHAPE, second))
    assert [advice.stage for advice in recommend(both)] == ["shape_generation"]
    gone = {IDENTIFIER: proposed().dismiss()}
    assert [advice.stage for advice in recommend(both, gone)] == ["texture"]


def test_a_stage_with_few_runs_makes_room_for_one_with_more():
    second = StageEvidence("texture", SpanKind.GPU, 0.2, 10, attention=ATTENTION)
    both = replace(FOUND, stages=(replace(SHAPE, n=2), second))
    assert [advice.stage for advice in recommend(both)] == ["texture"]


def test_a_confirmed_value_that_is_not_in_force_is_open_again():
    test = settled(80.0)
    assert test.state is ExperimentState.CONFIRMED
    [advice] = recommend(FOUND, {IDENTIFIER: test})
    assert advice == recommend(FOUND)[0]
    assert (advice.confidence, advice.test) == (Confidence.MEDIUM, None)
    assert advice_item(advice.to_document()).can_dismiss


EXPORT = "slow_encoding.mesh_export"


def slow_export(level, total_s, now_s):
    """Level 1 saves half a second less than all of the stage."""
    encode = EncodeFigures("export_compression", level, 1, now_s, 0.5)
    stage = StageEvidence("mesh_export", SpanKind.CPU, now_s / total_s, 10, encode=encode)
    job = JobTimes(total_s, 10, JOB.window)
    return Evidence(job, (stage,), {"export_compression": level})


def export_trial(old, new_s):
    test = Experiment(EXPORT, "export_compression", old, 1, 4.5, seed=3).apply()
    for index in range(12):
        test = test.assign(f"job{index}")
        is_new = test.arm_for(f"job{index}") is Arm.NEW
        test = test.measured(f"job{index}", new_s if is_new else 10.0)
    assert test.state is not ExperimentState.APPLIED
    return test


def test_a_trial_is_not_credited_with_a_change_from_another_value():
    """9 -> 1 was confirmed; then the server was started with 6."""
    confirmed = export_trial(9, 3.0)
    assert confirmed.state is ExperimentState.CONFIRMED
    [advice] = recommend(slow_export(6, 5.0, 1.0), {EXPORT: confirmed})
    assert advice.advice_id == EXPORT
    assert advice.gain.s_per_job == pytest.approx(0.5)
    assert (advice.confidence, advice.test) == (Confidence.MEDIUM, None)
    assert advice_item(advice.to_document()).button == "Apply"


def test_a_settled_trial_of_another_start_value_hides_nothing():
    for new_s in (10.0, 20.0):
        [advice] = recommend(slow_export(9, 10.0, 5.0), {EXPORT: export_trial(3, new_s)})
        assert advice.gain.s_per_job == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("new_s", "scatter", "state"),
    [
        (100.0, (), ExperimentState.NO_EFFECT),
        (120.0, (), ExperimentState.AUTO_REVERTED),
        (100.0, (0.7, 1.2, 0.9), ExperimentState.NOT_CLEAR),
    ],
)
def test_what_did_not_help_here_comes_back_when_its_evidence_moves(new_s, scatter, state):
    test = settled(new_s, scatter=scatter)
    assert test.state is state
    assert recommend(FOUND, {IDENTIFIER: test}) == []
    slightly = replace(FOUND, job=replace(JOB, total_s=119.0))
    assert recommend(slightly, {IDENTIFIER: test}) == []
    clearly = replace(FOUND, job=replace(JOB, total_s=121.0))
    [advice] = recommend(clearly, {IDENTIFIER: test})
    assert advice.test is None


def test_a_test_of_another_value_settles_nothing():
    other = settled(120.0, new="sdpa_cudnn")
    [advice] = recommend(FOUND, {IDENTIFIER: other})
    assert advice.confidence is Confidence.MEDIUM


def test_a_running_test_is_shown_without_a_verdict():
    [advice] = recommend(FOUND, {IDENTIFIER: proposed().apply()})
    assert advice.confidence is Confidence.MEDIUM
    assert advice.to_document()["verify"] == {
        "state": "applied",
        "reason": None,
        "before": "math",
        "after": "sdpa_flash",
        "ratio": None,
        "ci": None,
    }


def test_the_lines_of_earlier_versions_are_kept():
    full = replace(SHAPE, attention=None, matmul=MatmulFigures("fp32", 1.0, 2.0))
    found = Evidence(JOB, (full, StageEvidence("export", SpanKind.IO, 0.4, 10)))
    assert seed_lines(found, recommend(found)) == [
        "🔴 CRITICAL: 'shape_generation' takes 52.6% - optimize this first",
        "→ Enable mixed precision (FP16) for faster inference",
    ]
    assert seed_lines(Evidence(), []) == []


def test_rules_may_be_chosen():
    def silent(_: Evidence) -> Advice | None:
        return None

    assert recommend(FOUND, rules=[silent]) == []
