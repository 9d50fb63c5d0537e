"""What only a CUDA device can show of the stage profiler; run with ``pytest -m gpu``."""

from __future__ import annotations

import pytest
import torch

from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.units import MB

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def cuda_has_started():
    torch.ones(1, device="cuda")
    torch.cuda.synchronize()


def test_gpu_time_of_queued_work_exceeds_the_wall_time_to_queue_it():
    matrix = torch.ones(8192, 8192, device="cuda")
    matrix @ matrix
    torch.cuda.synchronize()
    with record_pipeline("p") as trace:
        with profile_stage("queue", SpanKind.GPU):
            for _ in range(20):
                matrix @ matrix
        torch.cuda.synchronize()
    span = trace.profile.spans[0]
    assert span.gpu_ns > 10 * span.elapsed_ns
    assert trace.profile.device == torch.cuda.get_device_name()


def test_peaks_are_those_of_the_tensors():
    with record_pipeline("p") as trace, profile_stage("outer", SpanKind.GPU):
        before = torch.cuda.memory_allocated()
        for name, size_mb in (("small", 64), ("large", 512), ("medium", 128)):
            with profile_stage(name, SpanKind.GPU):
                torch.empty(size_mb * MB, dtype=torch.uint8, device="cuda")
    peaks = {span.name: span.peak_bytes - before for span in trace.profile.spans}
    assert peaks == {"outer": 512 * MB, "small": 64 * MB, "large": 512 * MB, "medium": 128 * MB}
    assert trace.profile.allocator["out_of_memory"] == 0


def test_a_stage_may_record_a_cuda_graph():
    static = torch.ones(1024, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with (
        record_pipeline("p") as trace,
        torch.cuda.graph(graph),
        profile_stage("captured", SpanKind.GPU),
    ):
        result = static * 2
    graph.replay()
    torch.cuda.synchronize()
    assert result.sum().item() == 2048
    assert trace.profile.spans[0].gpu_ns is None


def test_a_stage_costs_little_host_time():
    with record_pipeline("p", span_limit=5000) as trace, profile_stage("outer"):
        for _ in range(1000):
            with profile_stage("step", SpanKind.GPU):
                pass
    outer = trace.profile.spans[0]
    assert outer.elapsed_ns / 1000 < 500_000
