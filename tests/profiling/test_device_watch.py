from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from backend.profiling.allocator_health import allocator_health
from backend.profiling.cuda_timing import CudaTimer
from backend.profiling.device_watch import DeviceWatch
from backend.profiling.memory_peaks import MemoryPeaks
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from tests.profiling.scripted_cuda import ScriptedCuda

GPU = SpanKind.GPU


@pytest.fixture
def cuda():
    return ScriptedCuda()


@pytest.fixture
def watch(cuda):
    return DeviceWatch(lambda: cuda, CudaTimer(), MemoryPeaks())


def by_name(trace, figure):
    return {span.name: getattr(span, figure) for span in trace.profile.spans}


# GPU time


def test_gpu_time_is_the_work_that_was_queued_in_the_stage(cuda, watch):
    with record_pipeline("p", watch=watch) as trace:
        with profile_stage("denoise", GPU):
            cuda.work(12.5)
            with profile_stage("attention", GPU):
                cuda.work(2.25)
        with profile_stage("export"):
            cuda.work(99)
        cuda.catch_up()
    assert by_name(trace, "gpu_ns") == {
        "denoise": 14_750_000, "attention": 2_250_000, "export": None,
    }  # fmt: skip
    assert trace.profile.device == "Scripted Card 0"
    assert cuda.synchronisations == 0


def test_work_that_the_gpu_has_not_reached_is_read_later(cuda, watch):
    with record_pipeline("p", watch=watch) as trace, profile_stage("denoise", GPU):
        cuda.work(3)
    assert by_name(trace, "gpu_ns") == {"denoise": None}
    assert watch.timer.resolve() == 1
    cuda.catch_up()
    assert watch.timer.resolve() == 0
    assert by_name(trace, "gpu_ns") == {"denoise": 3_000_000}


def test_events_are_used_again(cuda, watch):
    for _ in range(20):
        with record_pipeline("p", watch=watch):
            with profile_stage("denoise", GPU):
                cuda.work(1)
            cuda.catch_up()
    assert (cuda.events, cuda.records) == (2, 40)


def test_events_are_not_shared_between_devices(cuda, watch):
    for device in (0, 1, 0, 1):
        cuda.device = device
        with record_pipeline("p", watch=watch), profile_stage("denoise", GPU):
            pass
    assert cuda.events == 4


def test_no_event_is_recorded_during_the_recording_of_a_cuda_graph(cuda, watch):
    with record_pipeline("p", watch=watch) as trace:
        cuda.capturing = True
        with profile_stage("captured", GPU):
            pass
        cuda.capturing = False
        with profile_stage("ends captured", GPU):
            cuda.capturing = True
        cuda.capturing = False
        with profile_stage("changes device", GPU):
            cuda.device = 1
    assert by_name(trace, "gpu_ns") == dict.fromkeys(by_name(trace, "name"))
    assert (cuda.records, watch.timer.skipped) == (2, 3)


def test_events_are_not_read_during_the_recording_of_a_cuda_graph(cuda, watch):
    with record_pipeline("p", watch=watch) as trace:
        with profile_stage("denoise", GPU):
            cuda.work(4)
        cuda.catch_up()
        cuda.capturing = True
    assert by_name(trace, "gpu_ns") == {"denoise": None}
    cuda.capturing = False
    assert watch.timer.resolve() == 0
    assert by_name(trace, "gpu_ns") == {"denoise": 4_000_000}


def test_pending_pairs_are_bounded(cuda):
    watch = DeviceWatch(lambda: cuda, CudaTimer(most_pending=3), MemoryPeaks())
    with record_pipeline("p", watch=watch):
        for _ in range(10):
            with profile_stage("denoise", GPU):
                cuda.work(1)
    assert (watch.timer.resolve(), watch.timer.skipped) == (3, 7)


@pytest.mark.parametrize("breaks_at", ["before", "inside", "at the end"])
def test_a_failure_of_cuda_costs_the_figures_not_the_job(cuda, watch, breaks_at):
    with record_pipeline("p", watch=watch) as trace:
        cuda.broken = breaks_at == "before"
        with profile_stage("denoise", GPU):
            cuda.work(1)
            cuda.broken = breaks_at != "at the end"
        cuda.broken = True
    span = trace.profile.spans[0]
    assert span.gpu_ns is None
    assert span.elapsed_ns > 0
    assert (trace.profile.device, trace.profile.allocator) == (None, None)


# Memory


def test_a_parent_holds_the_largest_of_its_childrens_peaks_and_its_own(cuda, watch):
    with record_pipeline("p", watch=watch) as trace:
        cuda.allocate(100)
        with profile_stage("outer", GPU):
            cuda.allocate(50)
            cuda.free(50)
            with profile_stage("small", GPU):
                cuda.allocate(10)
                cuda.free(10)
            with profile_stage("large", GPU):
                cuda.allocate(900)
                cuda.free(900)
            with profile_stage("again small", GPU):
                cuda.allocate(5)
        with profile_stage("later", SpanKind.LOAD):
            cuda.free(5)
    assert by_name(trace, "peak_bytes") == {
        "outer": 1000, "small": 110, "large": 1000, "again small": 105, "later": 105,
    }  # fmt: skip


def test_a_parents_own_peak_between_its_children_is_not_lost(cuda, watch):
    with record_pipeline("p", watch=watch) as trace, profile_stage("outer", GPU):
        with profile_stage("first", GPU):
            cuda.allocate(10)
        cuda.allocate(500)
        cuda.free(500)
        with profile_stage("second", GPU):
            cuda.allocate(20)
    assert by_name(trace, "peak_bytes") == {"outer": 510, "first": 10, "second": 30}


def test_a_stage_of_another_thread_does_not_end_a_measurement(cuda, watch):
    def other():
        with record_pipeline("other", watch=watch), profile_stage("other", GPU):
            pass

    with record_pipeline("p", watch=watch) as trace, profile_stage("mine", GPU):
        cuda.allocate(70)
        cuda.free(70)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert by_name(trace, "peak_bytes") == {"mine": 70}


def test_peaks_of_two_devices_are_apart_and_reserved_memory_is_told_too(cuda):
    peaks = MemoryPeaks()
    first = peaks.start(cuda)
    cuda.device = 1
    second = peaks.start(cuda)
    cuda.allocate(40)
    peaks.stop(cuda, second)
    cuda.device = 0
    peaks.stop(cuda, first)
    assert (first.allocated_bytes, second.allocated_bytes) == (0, 40)
    assert second.reserved_bytes == 80


# Allocator


def test_retries_are_counted_from_the_start_of_the_pipeline(cuda, watch):
    cuda.retries = 5
    with record_pipeline("p", watch=watch) as trace:
        cuda.retries = 7
        cuda.allocate(3)
    assert trace.profile.allocator == {
        "alloc_retries": 2, "out_of_memory": 0, "allocated_bytes": 3, "reserved_bytes": 6,
        "inactive_split_bytes": 7,
    }  # fmt: skip


def test_a_figure_that_torch_does_not_tell_is_unknown(cuda):
    cuda.memory_stats = lambda: {"num_ooms": 1}
    health = allocator_health(cuda, {})
    assert (health["out_of_memory"], health["alloc_retries"]) == (1, None)
    assert health["reserved_bytes"] is None


# Without torch


def test_nothing_is_measured_and_torch_is_not_imported_while_nobody_uses_it():
    program = (
        "import sys\n"
        "from backend.profiling.recorder import record_pipeline, profile_stage\n"
        "from backend.profiling.spans import SpanKind\n"
        "with record_pipeline('p') as trace, profile_stage('s', SpanKind.GPU): pass\n"
        "profile = trace.profile\n"
        "assert profile.spans[0].gpu_ns is profile.spans[0].peak_bytes is profile.device is None\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_torch_that_does_not_use_a_gpu_is_left_alone():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_initialized():
        pytest.skip("another test of this process uses CUDA")
    with record_pipeline("p") as trace, profile_stage("s", GPU):
        torch.ones(8).sum()
    assert trace.profile.spans[0].gpu_ns is None
    assert not torch.cuda.is_initialized()
