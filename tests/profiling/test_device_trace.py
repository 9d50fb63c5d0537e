"""Traces written by hand, in microseconds: what the card waited for."""

from __future__ import annotations

import json

import pytest

from backend.profiling.device_trace import StageTrace, read_device_trace

STAGE = "shape_generation/denoise"
US = pytest.approx


class Trace:
    """Events of one host thread and one stream."""

    def __init__(self):
        self.events = [{"ph": "M", "name": "process_name"}]
        self._correlation = 0

    def host(self, name, ts, dur, cat="cpu_op", **args):
        self.events.append(
            {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur,
             "args": args}
        )  # fmt: skip
        return self

    def stage(self, ts, dur, name="denoise"):
        return self.host(name, ts, dur, "user_annotation")

    def kernel(self, launched, start, dur, launch_us=5, cat="kernel"):
        self._correlation += 1
        self.host(
            "cudaLaunchKernel", launched, launch_us, "cuda_runtime", correlation=self._correlation
        )
        self.events.append(
            {"ph": "X", "cat": cat, "name": "gemm", "pid": 0, "tid": 7, "ts": start, "dur": dur,
             "args": {"stream": 7, "correlation": self._correlation}}
        )  # fmt: skip
        return self

    def sync(self, ts, dur, name="cudaStreamSynchronize"):
        return self.host(name, ts, dur, "cuda_runtime")

    def read(self, *stages):
        return read_device_trace(self.events, stages or {STAGE})


@pytest.fixture
def trace():
    return Trace().stage(0, 1000, "shape_generation").stage(100, 800)


def test_idle_time_is_the_hosts_until_something_is_launched(trace):
    trace.kernel(150, 160, 100)  # launched at 155: 55 host, 5 kernel
    trace.kernel(200, 260, 40)  # follows at once
    trace.kernel(350, 380, 20)  # from 300 on: 55 host, 25 kernel
    found = trace.read()[STAGE]
    assert found.busy_s * 1e6 == US(160)
    assert found.host_wait_s * 1e6 == US(55 + 55 + 500), "with the idle end of the stage"
    assert found.kernel_wait_s * 1e6 == US(5 + 25)
    assert found.wall_s * 1e6 == US(800)
    assert (found.kernels, found.median_kernel_us) == (3, 40)
    whole = found.busy_s + found.host_wait_s + found.kernel_wait_s
    assert whole == US(found.wall_s), "busy and both waits make up the stage"


def test_work_belongs_to_the_stage_that_launched_it(trace):
    trace.kernel(890, 950, 500)  # runs after the stage has ended on the host
    trace.kernel(920, 1450, 10)
    found = trace.read(STAGE, "shape_generation")
    assert found[STAGE].busy_s * 1e6 == US(500)
    assert found["shape_generation"].kernels == 2


def test_kernels_side_by_side_are_busy_once(trace):
    trace.kernel(110, 200, 100).kernel(120, 250, 100).kernel(130, 210, 20)
    assert trace.read()[STAGE].busy_s * 1e6 == US(150)


def test_copies_are_work_but_no_kernels(trace):
    trace.kernel(110, 200, 100, cat="gpu_memcpy")
    found = trace.read()[STAGE]
    assert (found.busy_s * 1e6, found.kernels, found.median_kernel_us) == (US(100), 0, None)


def test_calls_that_wait_are_counted_with_their_place_and_what_follows(trace):
    for start in (200, 400):
        trace.host("aten::item", start - 30, 150).host("aten::_local_scalar_dense", start - 20, 120)
        trace.kernel(start - 60, start, 50).sync(start + 10, 45)
    trace.sync(850, 5, "cudaDeviceSynchronize")
    trace.sync(950, 5)  # in the outer stage only
    found = trace.read()[STAGE]
    assert found.syncs == 3
    assert found.sync_location == "aten::_local_scalar_dense"
    assert found.sync_wait_s * 1e6 == US((400 - 250) + (900 - 450))
    assert trace.read("shape_generation")["shape_generation"].syncs == 4


def test_a_call_outside_of_any_operation_is_placed_in_its_stage(trace):
    trace.kernel(110, 120, 10).sync(125, 10)
    assert trace.read()[STAGE].sync_location == "denoise"


def test_a_busy_card_is_not_said_to_wait_after_a_call(trace):
    trace.kernel(101, 110, 790).sync(200, 1)
    found = trace.read()[STAGE]
    assert (found.syncs, found.sync_wait_s) == (1, 0.0)


def test_all_runs_of_a_stage_and_both_parts_of_a_cut_one_count():
    trace = Trace()
    for begin in (0, 1000):
        trace.stage(begin, 500, "shape_generation").stage(begin + 100, 300)
        trace.kernel(begin + 110, begin + 120, 50)
    found = trace.read()[STAGE]
    assert (found.kernels, found.wall_s * 1e6) == (2, US(600))


def test_marks_of_other_programs_do_not_lengthen_the_path(trace):
    trace.host("## Call CompiledFxGraph ##", 105, 700, "user_annotation").kernel(110, 120, 10)
    assert trace.read()[STAGE].kernels == 1


def test_a_stage_without_work_on_the_card_is_left_out(trace):
    trace.host("aten::mm", 110, 500)
    assert trace.read() == {}
    assert read_device_trace([], {STAGE}) == {}


def test_work_without_its_launch_is_laid_at_the_hosts_door(trace):
    trace.events.append(
        {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 300, "dur": 600}
    )
    found = trace.read()[STAGE]
    assert (found.host_wait_s * 1e6, found.kernel_wait_s) == (US(200), 0.0)


def test_it_survives_json(trace):
    found = trace.kernel(110, 120, 10).read()[STAGE]
    assert StageTrace.from_document(json.loads(json.dumps(found.to_document()))) == found
