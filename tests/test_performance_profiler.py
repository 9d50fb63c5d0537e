from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

import backend.performance_profiler as facade
from backend.errors import InvalidParameter
from backend.performance_profiler import PerformanceProfiler, get_performance_profiler
from backend.profiling import recorder
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from tests.residency.conftest import StandingClock

DEMO = """\
1. Simulating Pipeline Execution...

   Total Duration: 0.950s
   Slowest Stage: shape_generation

4. Identified Bottlenecks:
   1. shape_generation: 52.6% (0.500s) - CRITICAL
   2. texture_synthesis: 31.6% (0.300s) - HIGH

5. Optimization Recommendations:
   1. 🔴 CRITICAL: 'shape_generation' takes 52.6% - optimize this first
   2. → Enable mixed precision (FP16) for faster inference
"""
STAGES = {"image_preprocessing": 1, "shape_generation": 5, "texture_synthesis": 3, "export": 1}
FP16 = "→ Enable mixed precision (FP16) for faster inference"


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def profiler(clock):
    return PerformanceProfiler(clock, settings_in_force=lambda: {"precision": "auto"})


def run(profiler, clock, times_s=STAGES, kind=SpanKind.CPU, **metadata):
    profiler.start_pipeline("generation_001", {"image_size": (512, 512)} | metadata)
    for name, seconds in times_s.items():
        with profiler.profile_stage(name, kind):
            clock.forward(seconds)
    return profiler.end_pipeline()


def test_the_demonstration_prints_what_was_promised():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "backend.performance_profiler"],
        capture_output=True, encoding="utf-8", check=True, timeout=60,
        env={"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout == DEMO


def test_profile_tells_stages_and_the_slowest(profiler, clock):
    profile = run(profiler, clock)
    assert profile.pipeline_id == "generation_001"
    assert profile.metadata == {"image_size": (512, 512)}
    assert profile.total_duration == 10
    assert profile.stage_seconds == STAGES
    assert profile.slowest_stage.name == "shape_generation"
    assert profiler.end_pipeline() is None


def test_bottlenecks_have_the_promised_keys(profiler, clock):
    run(profiler, clock)
    first, second = profiler.identify_bottlenecks(threshold_percent=20.0)
    assert first == {
        "stage": "shape_generation", "avg_percent": 50.0, "avg_duration_seconds": 5.0,
        "occurrences": 1, "severity": "critical", "pipelines": 1, "kind": "cpu",
    }  # fmt: skip
    assert (second["stage"], second["severity"]) == ("texture_synthesis", "medium")


@pytest.mark.parametrize("threshold", [-1, 101])
def test_a_threshold_that_is_no_share_is_refused(profiler, threshold):
    with pytest.raises(InvalidParameter):
        profiler.identify_bottlenecks(threshold)


def test_advice_on_precision_needs_a_gpu_stage_in_full_precision(clock):
    def advice(kind, in_force, **metadata):
        profiler = PerformanceProfiler(clock, settings_in_force=lambda: in_force)
        run(profiler, clock, kind=kind, **metadata)
        return profiler.get_optimization_recommendations()

    critical = "🔴 CRITICAL: 'shape_generation' takes 50.0% - optimize this first"
    assert advice(SpanKind.GPU, {"precision": "fp32"}) == [critical, FP16]
    assert advice(SpanKind.GPU, {}, precision="fp32") == [critical, FP16]
    assert advice(SpanKind.GPU, {"precision": "fp32"}, precision="bf16") == [critical]
    assert advice(SpanKind.GPU, {"precision": "auto"}) == [critical]
    assert advice(SpanKind.CPU, {"precision": "fp32"}) == [critical]


def test_nothing_is_advised_where_no_stage_stands_out(profiler, clock):
    run(profiler, clock, dict.fromkeys("abcdefgh", 1))
    assert profiler.get_optimization_recommendations() == []


def test_summary_without_data_says_so(profiler):
    assert set(profiler.get_performance_summary()) == {"error"}
    assert profiler.get_optimization_recommendations() == []


def test_summary(profiler, clock):
    for factor in (1, 3):
        run(profiler, clock, {name: factor * s for name, s in STAGES.items()})
    summary = profiler.get_performance_summary()
    assert summary["total_pipelines"] == 2
    assert [summary[f"{key}_duration"] for key in ("avg", "min", "max", "p50")] == [20, 10, 30, 20]
    assert summary["p95_duration"] is None
    assert summary["stage_breakdown"]["shape_generation"] == {
        "avg_duration": 10, "min_duration": 5, "max_duration": 15, "avg_percent": 50.0,
        "count": 2, "occurrences": 2, "failures": 0,
    }  # fmt: skip
    assert [b["stage"] for b in summary["bottlenecks"]] == ["shape_generation", "texture_synthesis"]
    assert summary["timestamp"] == "2026-11-21T00:17:20.000Z"


def test_all_pipelines_are_counted_though_only_the_latest_are_kept(profiler, clock):
    for _ in range(facade.KEPT_PROFILES + 7):
        run(profiler, clock, {"a": 1})
    assert len(profiler.pipeline_profiles) == facade.KEPT_PROFILES
    assert profiler.get_performance_summary()["total_pipelines"] == facade.KEPT_PROFILES + 7


def test_average_of_a_stage_is_over_the_latest_that_ran_it(profiler, clock):
    for seconds in (100, 2, 4):
        run(profiler, clock, {"a": seconds})
    run(profiler, clock, {"b": 1})
    assert profiler.get_average_stage_duration("a", window=2) == 3
    assert profiler.get_average_stage_duration("never") is None
    with pytest.raises(InvalidParameter):
        profiler.get_average_stage_duration("a", window=0)


def test_average_counts_repeats_together_and_recursion_once(profiler, clock):
    profiler.start_pipeline("p")
    for _ in range(2):
        with profiler.profile_stage("outer"), profiler.profile_stage("a"):
            clock.forward(1)
            with profiler.profile_stage("b"), profiler.profile_stage("a"):
                clock.forward(2)
    profiler.end_pipeline()
    assert profiler.get_average_stage_duration("a") == 6


def test_a_decorated_function_is_a_stage_and_keeps_its_name(profiler, clock):
    @profiler.profile_function(kind=SpanKind.IO)
    def load_image(seconds, *, answer):
        """Load."""
        clock.forward(seconds)
        return answer

    assert load_image(1, answer=42) == 42
    profiler.start_pipeline("p")
    assert load_image(3, answer=7) == 7
    (stage,) = profiler.end_pipeline().stages
    assert (stage.name, stage.duration_seconds, stage.kind) == ("load_image", 3, SpanKind.IO)
    assert load_image.__doc__ == "Load."


def test_report_holds_everything(profiler, clock, tmp_path):
    run(profiler, clock)
    path = profiler.export_report(str(tmp_path / "performance_report.json"))
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["summary"]["total_pipelines"] == 1
    assert report["recommendations"] == profiler.get_optimization_recommendations()
    assert [s["name"] for s in report["recent_pipelines"][0]["spans"]] == list(STAGES)


def test_a_report_in_an_unknown_format_is_refused(profiler, tmp_path):
    with pytest.raises(InvalidParameter):
        profiler.export_report(tmp_path / "report.docx")
    assert list(tmp_path.iterdir()) == []


def test_concurrent_pipelines_of_one_profiler_stay_apart():
    profiler = PerformanceProfiler()
    both_inside = threading.Barrier(2, timeout=10)
    profiles = {}

    def work(name):
        profiler.start_pipeline(name)
        both_inside.wait()
        with profiler.profile_stage(f"{name}-stage"):
            both_inside.wait()
        profiles[name] = profiler.end_pipeline()

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    found = {name: list(profile.stage_seconds) for name, profile in profiles.items()}
    assert found == {"a": ["a-stage"], "b": ["b-stage"]}
    assert profiler.get_performance_summary()["total_pipelines"] == 2


def test_the_processs_profiler_sees_every_pipeline_once(monkeypatch):
    monkeypatch.setattr(facade, "_profiler", None)
    profiler = get_performance_profiler()
    try:
        assert get_performance_profiler() is profiler
        with record_pipeline("recorded elsewhere"), profile_stage("s"):
            pass
        profiler.start_pipeline("its own")
        profiler.end_pipeline()
        names = [profile.pipeline_id for profile in profiler.pipeline_profiles]
        assert names == ["recorded elsewhere", "its own"]
    finally:
        recorder.remove_listener(profiler.collect)


def test_settings_in_force_are_those_of_the_server(monkeypatch):
    monkeypatch.setenv("MESHKILN_PRECISION", "fp32")
    assert facade.configured_settings() == {"precision": "fp32"}
