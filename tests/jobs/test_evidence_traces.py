"""From a deep profile's trace to what the rules on launches and waits look at."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from backend.jobs.evidence_traces import NAME, with_traces
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.jobs.trace_probe import TraceProbe
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.deep_profile import DeepFile
from backend.profiling.history import DEEP, RunFilter
from backend.profiling.spans import NS, Span, SpanKind
from backend.profiling.stage_facts import FACTS
from tests.profiling.made_runs import made_profile
from tests.profiling.test_device_trace import Trace

STAGE, DEVICE, KEY = "shape_generation/denoise", "Abacus", "image_to_3d:draft"
ABOUT = MeasuredOn(NAME, "image_to_3d", KEY, DEVICE)
LOOP = {FACTS: {"loop": {"steps": 10, "fewer_steps": None, "forwards_per_step": 1}}}


def launch_bound():
    """One second in which 100 kernels of 2 ms each are launched too late and waited for."""
    trace = Trace().stage(0, 1e6, "shape_generation").stage(0, 1e6)
    for number in range(100):
        begin = number * 10_000
        trace.kernel(begin + 7_000, begin + 7_010, 2_000)
        trace.host("aten::item", begin + 7_500, 2_000).sync(begin + 7_600, 1_450)
    return trace.events


@pytest.fixture
def record(service, clock):
    def make(total_s=1.0, deep=False):
        clock.forward(seconds=5)
        profile = made_profile({"shape_generation": total_s}, started_at=clock.now())
        (outer,) = profile.spans
        end_ns = outer.start_ns + round(total_s * NS)
        profile.spans.append(
            Span(9, outer.id, "denoise", SpanKind.GPU, 7, outer.start_ns, end_ns, attributes=LOOP)
        )
        profile = replace(profile, device=DEVICE)
        return service.run_history.record(
            profile, job_id=None, pipeline="image_to_3d", engine={},
            settings={DEEP: True} if deep else {}, shape_key=KEY, batch_size=1,
        )  # fmt: skip

    return make


@pytest.fixture
def profiled(service, monkeypatch, tmp_path):
    """Make a finished deep profile of a run."""

    def make(run, events=None, stopped_early=False):
        path = tmp_path / DeepFile.TORCH_TRACE
        with gzip.open(path, "wt") as file:
            json.dump({"traceEvents": launch_bound() if events is None else events}, file)
        window = {"kernels": [{"name": "gemm"}], "stopped_early": stopped_early}
        item = {"state": "finished", "job_id": "j", "run": run, "torch": window}
        monkeypatch.setattr(service.deep_profiles, "document", lambda: {"items": [item]})
        monkeypatch.setattr(service.deep_profiles, "file", lambda *_: path)

    return make


@pytest.fixture
def evidence(service):
    def make():
        runs = service.run_history.runs(RunFilter("image_to_3d", KEY))
        found = evidence_of_runs(runs)
        measurements = Measurements(service.store.engine, service.clock)
        return replace(found, stages=with_traces(found.stages, measurements, runs))

    return make


def denoise(evidence):
    return next(stage for stage in evidence.stages if stage.name == STAGE)


def test_a_trace_is_read_once_and_kept(service, record, profiled):
    run = record(deep=True)
    profiled(run)
    probe = TraceProbe(service)
    document = probe.look()
    assert document["run"] == run
    assert document["stages"][STAGE]["kernels"] == 100
    assert probe.look() is None
    assert TraceProbe(service).look() is None, "another process knows it from the database"
    measurements = Measurements(service.store.engine, service.clock)
    assert measurements.newest(ABOUT).document == document
    again = record(deep=True)
    profiled(again)
    assert probe.look()["run"] == again


def test_a_trace_that_ended_early_or_of_no_card_tells_nothing(service, record, profiled):
    run = record(deep=True)
    profiled(run, stopped_early=True)
    assert TraceProbe(service).look() is None
    profiled(run, events=[])
    assert TraceProbe(service).look() is None
    profiled("gone")
    assert TraceProbe(service).look() is None


def test_a_damaged_trace_ends_nothing(service, record, profiled, tmp_path, caplog):
    profiled(record(deep=True))
    (tmp_path / DeepFile.TORCH_TRACE).write_bytes(b"no archive")
    assert TraceProbe(service).look() is None
    assert "was not read" in caplog.text


def test_waits_are_bounded_by_what_unprofiled_runs_take(service, record, profiled, evidence):
    """200 ms of work and 800 ms of waits under the profiler; unprofiled all of it takes 600 ms."""
    profiled(record(deep=True))
    for _ in range(6):
        record(0.6)
    assert denoise(evidence()).launch is None
    TraceProbe(service).look()
    stage = denoise(evidence())
    waits_s = stage.launch.host_wait_s + stage.launch.kernel_wait_s
    assert waits_s == pytest.approx(0.6 - 0.2, rel=0.01)
    assert stage.launch.median_kernel_us == pytest.approx(2_000)
    assert stage.sync.syncs_per_step == pytest.approx(10)
    assert stage.sync.location == "aten::item"
    assert 0 < stage.sync.wait_s <= waits_s


def test_the_rules_speak(service, record, profiled, evidence):
    profiled(record(deep=True))
    for _ in range(6):
        record(0.6)
    TraceProbe(service).look()
    rules = {advice.rule for advice in recommend(evidence())}
    assert {RuleId.LAUNCH_BOUND, RuleId.HOST_SYNC} <= rules


def test_without_a_loop_calls_are_not_related_to_steps(
    service, record, profiled, evidence, monkeypatch
):
    monkeypatch.setitem(LOOP, FACTS, {"decode": {"resolution": 96, "queries": 97**3}})
    profiled(record(deep=True))
    for _ in range(6):
        record(0.6)
    TraceProbe(service).look()
    stage = denoise(evidence())
    assert stage.sync is None
    assert stage.launch is not None
