"""A job under pyinstrument and torch.profiler: what they find, their bounds, their failures."""

from __future__ import annotations

import gzip
import json
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.profiling import deep_profile
from backend.profiling.deep_profile import TICK_SIGNAL, DeepFile, DeepProfile
from backend.profiling.recorder import mark_stages, profile_stage, record_pipeline
from backend.profiling.torch_window import TorchWindow, may_cut

needs_pyinstrument = pytest.mark.skipif(
    deep_profile.importlib.util.find_spec("pyinstrument") is None,
    reason="pyinstrument is not installed",
)


class SteppedClock:
    """Every look at it takes a second."""

    def __init__(self):
        self.now_s = 0.0

    def now(self):
        return datetime(2026, 11, 21, tzinfo=UTC)

    def monotonic_s(self):
        self.now_s += 1.0
        return self.now_s


def a_function_that_takes_long(seconds):
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass


class Kineto:
    """Stands for ``torch.profiler.profile``: a slice with so many events."""

    def __init__(self, torch, activities):
        assert activities == ["cpu", "cuda"]
        self._torch = torch
        self.number = len(torch.slices)
        torch.slices.append(self)

    def start(self):
        assert not self._torch.running
        self._torch.running = True

    def stop(self):
        assert self._torch.running
        self._torch.running = False

    @property
    def profiler(self):
        return self

    kineto_results = profiler

    def events(self):
        return [None] * self._torch.events_per_slice

    def export_chrome_trace(self, path):
        kernel = {"name": "gemm", "cat": "kernel", "ts": 1.0, "dur": 2_000_000}
        copy = {"name": "copy", "cat": "gpu_memcpy", "ts": 1.0, "dur": 500_000}
        document = {
            "schemaVersion": 1,
            "baseTimeNanoseconds": 1_000_000 * self.number,
            "traceEvents": [{"name": "p", "ph": "M"}, kernel, copy],
        }
        assert self is self._torch.slices[-1], "an older slice is overwritten, reading it crashes"
        Path(path).write_text(json.dumps(document))


class ScriptedTorch:
    """As much of torch as a window asks for."""

    def __init__(self, events_per_slice=10):
        self.events_per_slice = events_per_slice
        self.slices = []
        self.running = False
        self.marked, self.open_ranges = [], []
        self.profiler = self
        self.cuda = self
        self.ProfilerActivity = self
        self.CPU, self.CUDA = "cpu", "cuda"

    def is_available(self):
        return True

    def profile(self, activities):
        return Kineto(self, activities)

    def record_function(self, name):
        assert self.running, "a range outside of a slice"
        self.marked.append(name)
        return self._range(name)

    @contextmanager
    def _range(self, name):
        self.open_ranges.append(name)
        yield
        assert self.running, "a range ended outside of its slice"
        self.open_ranges.remove(name)


@pytest.fixture
def no_sampler(monkeypatch):
    monkeypatch.setattr(deep_profile.importlib.util, "find_spec", lambda _name: None)


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    handler, threads = signal.getsignal(TICK_SIGNAL), set(threading.enumerate())
    marked = mark_stages(None)
    mark_stages(marked)
    yield
    assert signal.getsignal(TICK_SIGNAL) is handler
    assert set(threading.enumerate()) <= threads
    after = mark_stages(marked)
    assert after is marked


@needs_pyinstrument
def test_the_function_that_takes_long_is_named(tmp_path):
    profile = DeepProfile(tmp_path, find_torch=lambda: None)
    with profile.running():
        a_function_that_takes_long(0.3)
    found = profile.write()
    names = [entry["function"] for entry in found["functions"]]
    assert "a_function_that_takes_long" in names[:2]
    assert sum(entry["self_s"] for entry in found["functions"]) == pytest.approx(0.3, abs=0.1)
    assert found["sampled_s"] == pytest.approx(0.3, abs=0.1)
    assert found["problems"] == []
    page = (tmp_path / DeepFile.CALL_TREE).read_text()
    assert "a_function_that_takes_long" in page
    assert found["files"] == {"pyinstrument.html": len(page.encode())}


@needs_pyinstrument
def test_the_page_asks_no_other_site_for_anything(tmp_path):
    profile = DeepProfile(tmp_path, find_torch=lambda: None)
    with profile.running():
        a_function_that_takes_long(0.05)
    profile.write()
    page = (tmp_path / DeepFile.CALL_TREE).read_text()
    assert "googleapis" not in page
    assert page.index("localStorage;") < page.index("pyinstrumentHTMLRenderer"), (
        "shown without an origin the page must not ask for its store"
    )
    others = {part.split('"')[0] for part in page.split("https://")[1:]}
    assert others == set()


@needs_pyinstrument
def test_sampling_ends_after_its_time_and_the_job_goes_on(tmp_path):
    profile = DeepProfile(tmp_path, call_tree_s=0.2, tick_s=0.05, find_torch=lambda: None)
    with profile.running():
        a_function_that_takes_long(2.0)
    found = profile.write()
    assert 0.15 <= found["sampled_s"] < 1.8
    assert found["problems"] == []


def test_what_the_job_raises_passes_unchanged(tmp_path):
    profile = DeepProfile(tmp_path, find_torch=lambda: None)
    error = ValueError("of the job")
    with pytest.raises(ValueError, match="of the job") as caught, profile.running():
        raise error
    assert caught.value is error


@pytest.mark.usefixtures("no_sampler")
def test_without_pyinstrument_the_summary_says_how_to_get_it(tmp_path):
    profile = DeepProfile(tmp_path, find_torch=lambda: None)
    with profile.running():
        pass
    found = profile.write()
    assert found["files"] == {}
    (problem,) = found["problems"]
    assert "pip install pyinstrument" in problem["advice"]


def test_a_profiler_that_breaks_fails_no_job(tmp_path):
    class Broken(ScriptedTorch):
        def profile(self, activities):
            raise RuntimeError("CUPTI is in use")

    profile = DeepProfile(tmp_path, find_torch=Broken)
    done = False
    with profile.running():
        done = True
    assert done
    found = profile.write()
    assert found["torch"] is None
    assert [p["detail"] for p in found["problems"]] == [
        "torch.profiler failed: RuntimeError: CUPTI is in use"
    ]


def test_off_the_main_thread_the_job_runs_unprofiled(tmp_path):
    profile, ran = DeepProfile(tmp_path, find_torch=ScriptedTorch), []

    def work():
        with profile.running():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [True]
    found = profile.write()
    assert found["torch"] is None
    assert "main thread" in found["problems"][0]["detail"]


@pytest.mark.usefixtures("no_sampler")
def test_the_window_is_cut_into_slices_while_the_job_runs(tmp_path):
    torch = ScriptedTorch()
    profile = DeepProfile(tmp_path, tick_s=0.02, find_torch=lambda: torch)
    with profile.running():
        a_function_that_takes_long(0.3)
    assert len(torch.slices) > 3
    assert not torch.running
    assert profile.write()["torch"]["events"] == 10 * len(torch.slices)


def ticked(torch, folder, ticks, **bounds):
    window = TorchWindow(torch, SteppedClock(), folder, **bounds)
    window.start()
    for _ in range(ticks):
        window.tick()
    return window


def test_a_window_ends_when_its_time_is_over(tmp_path):
    torch = ScriptedTorch()
    window = ticked(torch, tmp_path, 10, window_s=3.0)
    assert len(torch.slices) == 3
    assert window.stopped_early
    window.stop()
    assert not torch.running


def test_a_window_ends_after_so_many_events(tmp_path):
    torch = ScriptedTorch(events_per_slice=400)
    window = ticked(torch, tmp_path, 10, max_events=1000)
    assert len(torch.slices) == 3
    assert (window.events, window.stopped_early) == (1200, True)
    window.stop()


def test_a_window_that_the_job_outlives_is_whole(tmp_path):
    torch = ScriptedTorch()
    window = ticked(torch, tmp_path, 2)
    window.stop()
    assert len(torch.slices) == 3
    assert not window.stopped_early


def test_slices_are_joined_on_one_clock(tmp_path):
    torch = ScriptedTorch()
    window = ticked(torch, tmp_path, 2)
    window.stop()
    found = window.write(tmp_path / "trace.json.gz")
    document = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    kernels = [e for e in document["traceEvents"] if e.get("cat") == "kernel"]
    assert [e["ts"] for e in kernels] == [1.0, 1001.0, 2001.0]
    assert document["schemaVersion"] == 1
    assert found["kernels"] == [
        {"name": "gemm", "calls": 3, "total_s": 6.0},
        {"name": "copy", "calls": 3, "total_s": 1.5},
    ]


def test_stages_are_marked_only_while_the_window_is_open(tmp_path):
    torch = ScriptedTorch()
    with record_pipeline("p"):
        window = ticked(torch, tmp_path, 0, window_s=2.0)
        with profile_stage("inside"):
            pass
        for _ in range(3):
            window.tick()
        with profile_stage("late"):
            pass
        window.stop()
    assert torch.marked == ["inside"]


def test_a_stage_that_outlasts_a_slice_is_a_range_in_each(tmp_path):
    """A range of torch that ended in another slice than its own crashed the process."""
    torch = ScriptedTorch()
    with record_pipeline("p"):
        window = ticked(torch, tmp_path, 0)
        with profile_stage("outer"), profile_stage("inner"):
            window.tick()
            assert torch.open_ranges == ["outer", "inner"]
        assert torch.open_ranges == []
        window.stop()
    assert torch.marked == ["outer", "inner", "outer", "inner"]


def called_back(path, function):
    """Call a function from a file that is named like one of torch's."""
    names = {}
    exec(compile("def call(function):\n    return function()\n", path, "exec"), names)
    return names["call"](function)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/site-packages/diffusers/pipeline.py", True),
        ("/site-packages/torch/nn/modules/module.py", True),
        ("/site-packages/torch/utils/_contextlib.py", True),
        ("/site-packages/torch/autograd/function.py", False),
        ("/site-packages/torch/_dynamo/eval_frame.py", False),
        ("/site-packages/pyinstrument/stack_sampler.py", False),
    ],
)
def test_a_slice_is_not_cut_inside_an_operation(path, allowed):
    assert called_back(path, lambda: may_cut(sys._getframe())) is allowed


def test_a_real_torch_window_holds_operations_and_stages(tmp_path):
    torch = pytest.importorskip("torch")
    profile = DeepProfile(tmp_path, tick_s=0.05)
    ones = torch.ones(64)
    with profile.running(), record_pipeline("p"), profile_stage("a_stage"):
        started_s = time.perf_counter()
        while time.perf_counter() < started_s + 0.3:
            ones = torch.sin(ones)
        elapsed_s = time.perf_counter() - started_s
    found = profile.write()
    assert found["problems"] == []
    assert found["torch"]["events"] > 100
    trace = json.loads(gzip.decompress((tmp_path / DeepFile.TORCH_TRACE).read_bytes()))
    names = {event.get("name") for event in trace["traceEvents"]}
    assert {"aten::sin", "a_stage"} <= names
    starts = [e["ts"] for e in trace["traceEvents"] if e.get("name") == "aten::sin"]
    # Counted in microseconds on one clock; exporting a slice halts the job now and then.
    assert 20_000 < max(starts) - min(starts) < 1.1e6 * elapsed_s
