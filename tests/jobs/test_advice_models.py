"""Measured times of networks find their way to the stages of stored runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.jobs.advice_evidence import gather_evidence
from backend.jobs.evidence_models import NAME, jobs_per_day, with_models
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.run_summary import RunStage, RunStatus
from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from tests.profiling.made_runs import made_run

SHAPE_KEY = "image_to_3d:draft"
DENOISE = "shape_generation/denoise"
TIMES = {
    "model": "dit", "single_s": 0.05, "double_s": None, "fits": None, "bf16_factor": None,
    "eager_s": 0.05, "compiled_s": 0.01, "compile_s": 2.0, "compiled_at": None,
}  # fmt: skip


@pytest.fixture
def measurements(service, clock):
    return Measurements(service.store.engine, clock)


@pytest.fixture
def runs(service, clock):
    """Six jobs of 10 s: a loop of 40 forwards takes 4 s, 3 s of what is around it no forward."""
    for _ in range(6):
        noted = {"flop": 1e9, "moved_bytes": 1e6, "dtype": "fp32", "calls": 40}
        spans = [
            Span(1, None, "shape_generation", SpanKind.CPU, 1, 0, 7 * NS),
            Span(2, 1, "denoise", SpanKind.GPU, 1, 0, 4 * NS, attributes=noted),
            Span(3, None, "mesh_export", SpanKind.CPU, 1, 7 * NS, 10 * NS),
        ]
        profile = PipelineProfile("image_to_3d", {}, clock.now(), 0, 10 * NS, spans)
        service.run_history.record(
            profile, job_id=None, pipeline="image_to_3d", engine={"shape": "x"}, settings={},
            shape_key=SHAPE_KEY, batch_size=1, status=RunStatus.OK,
        )  # fmt: skip
    return service.run_history.runs()


def keep(measurements, stages, **about):
    place = {"pipeline": "image_to_3d", "shape_key": SHAPE_KEY} | about
    measurements.keep(MeasuredOn(NAME, **place), {"stages": stages}, 3)


def test_what_was_timed_after_a_job_backs_advice(service, runs, measurements):
    assert recommend(gather_evidence(service, "image_to_3d", SHAPE_KEY)) == []
    keep(measurements, {DENOISE: TIMES, "shape_generation/other": TIMES})
    evidence = gather_evidence(service, "image_to_3d", SHAPE_KEY)
    (compiled,) = (stage.compiled for stage in evidence.stages if stage.name == DENOISE)
    assert (compiled.eager_s, compiled.compiled_s) == (pytest.approx(2.0), pytest.approx(0.4))
    assert compiled.jobs_per_day == 6
    [advice] = recommend(evidence)
    assert (advice.rule, advice.stage) == (RuleId.COMPILE, DENOISE)
    assert (advice.action.setting, advice.action.available) == ("compile_models", True)
    # of 10 s: 1.6 s, and 2 s to compile are borne by six jobs a day
    assert (advice.gain.low_s, advice.gain.high_s) == pytest.approx((1.6 - 2 / 6, 1.6))


@pytest.mark.parametrize("other", [{"device": "NVIDIA H200"}, {"shape_key": "image_to_3d:high"}])
def test_what_was_timed_elsewhere_says_nothing(service, runs, measurements, other):
    keep(measurements, {DENOISE: TIMES}, **other)
    assert recommend(gather_evidence(service, "image_to_3d", SHAPE_KEY)) == []


@pytest.mark.parametrize(("timed", "is_told"), [("auto", True), ("math", False)])
def test_what_was_timed_with_other_settings_says_nothing(service, clock, timed, is_told):
    measurements = Measurements(service.store.engine, clock)
    about = MeasuredOn(NAME, "image_to_3d", SHAPE_KEY)
    document = {"settings": {"attention": timed}, "stages": {DENOISE: TIMES}}
    measurements.keep(about, document, 3)
    stage = RunStage(DENOISE, "gpu", 4.0, 100.0, None, None, calls=40)
    of_now = {"settings": {"attention": "auto"}, "shape_key": SHAPE_KEY}
    run = replace(made_run({"a": 4.0}, **of_now), stages=(stage,))
    found = with_models(evidence_of_runs([run]), measurements, [run])
    assert (found.stages[0].compiled is not None) is is_told


def test_without_runs_nothing_is_read(measurements):
    assert with_models(Evidence(), measurements, []) == Evidence()


def test_a_short_history_counts_as_a_day():
    minute = [made_run({"a": 1.0}, number) for number in (3, 2, 1)]
    assert jobs_per_day(minute) == 3
    days = [made_run({"a": 1.0}, number * 24 * 60) for number in (4, 2, 0)]
    assert jobs_per_day(days) == pytest.approx(0.75)
    assert jobs_per_day([]) is None
