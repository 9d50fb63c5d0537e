"""Stages as NVTX ranges: only when a tool looks on, and balanced whatever happens."""

from __future__ import annotations

import logging
import threading

import pytest

from backend.profiling.nvtx_ranges import NvtxRanges, nvtx_ranges
from backend.profiling.recorder import mark_stages, profile_stage, record_pipeline


class ScriptedNvtx:
    """Remembers pushes and pops; NVTX keeps a stack per thread."""

    def __init__(self):
        self.nvtx = self
        self.open = {}
        self.pushed = []
        self.broken = False

    def range_push(self, name):
        if self.broken:
            raise RuntimeError("NVTX functions not installed")
        self.pushed.append(name)
        self.open.setdefault(threading.get_ident(), []).append(name)

    def range_pop(self):
        self.open[threading.get_ident()].pop()

    @property
    def left_open(self):
        return [name for names in self.open.values() for name in names]


@pytest.fixture
def cuda():
    made = ScriptedNvtx()
    before = mark_stages(NvtxRanges(lambda: made))
    yield made
    mark_stages(before)


def test_nested_stages_become_nested_ranges(cuda):
    with record_pipeline("p"), profile_stage("outer"):
        with profile_stage("inner"):
            assert cuda.left_open == ["outer", "inner"]
        assert cuda.left_open == ["outer"]
    assert cuda.pushed == ["outer", "inner"]
    assert cuda.left_open == []


def test_ranges_are_closed_after_errors(cuda):
    with (
        pytest.raises(ZeroDivisionError),
        record_pipeline("p"),
        profile_stage("outer"),
        profile_stage("inner"),
    ):
        raise ZeroDivisionError
    assert cuda.pushed == ["outer", "inner"]
    assert cuda.left_open == []


def test_without_a_pipeline_nothing_is_marked(cuda):
    with profile_stage("alone"):
        pass
    assert cuda.pushed == []


def test_a_stage_that_is_not_kept_is_not_marked(cuda):
    with record_pipeline("p", span_limit=1), profile_stage("kept"), profile_stage("dropped"):
        pass
    assert cuda.pushed == ["kept"]
    assert cuda.left_open == []


def test_a_range_is_not_closed_on_another_thread(cuda):
    """A generator may be left elsewhere; popping there would close a range of that thread."""
    with record_pipeline("p"):
        stage = profile_stage("wandering")
        stage.__enter__()
        other = threading.Thread(target=lambda: stage.__exit__(None, None, None))
        cuda.open[other.ident] = []
        other.start()
        other.join()
    assert cuda.left_open == ["wandering"]


def test_a_torch_without_nvtx_is_asked_once_and_fails_no_stage(cuda, caplog):
    cuda.broken = True
    with caplog.at_level(logging.WARNING), record_pipeline("p") as trace:
        for _ in range(3):
            with profile_stage("s"):
                pass
    assert len(trace.profile.spans) == 3
    assert len([r for r in caplog.records if "NVTX" in r.message]) == 1


def test_while_torch_uses_no_gpu_nothing_is_marked():
    assert NvtxRanges(lambda: None)("s") is None


@pytest.mark.parametrize(
    ("env", "attached"),
    [
        ({}, False),
        ({"MESHKILN_NVTX": "0"}, False),
        ({"MESHKILN_NVTX": "1"}, True),
        ({"NVTX_INJECTION64_PATH": "/opt/nsight/libToolsInjection64.so"}, True),
        ({"NSYS_PROFILING_SESSION_ID": "1234"}, True),
    ],
)
def test_ranges_are_made_when_a_tool_is_attached(env, attached):
    assert (nvtx_ranges(env) is not None) is attached


@pytest.mark.gpu
def test_the_real_nvtx_takes_the_ranges():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.zeros(1, device="cuda")
    before = mark_stages(NvtxRanges())
    try:
        with record_pipeline("p") as trace, profile_stage("s"):
            # What range_push returns is the depth: ours is the outermost.
            assert torch.cuda.nvtx.range_push("probe") == 1
            torch.cuda.nvtx.range_pop()
    finally:
        mark_stages(before)
    assert len(trace.profile.spans) == 1
    assert torch.cuda.nvtx.range_push("after") == 0
    torch.cuda.nvtx.range_pop()
