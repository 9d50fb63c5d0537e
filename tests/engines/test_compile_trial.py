"""A network is compiled in a child process, which ends as soon as somebody waits."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
import pytest
import torch
from torch import nn

from backend.engines import compile_trial
from backend.engines.bare_network import dump_bare, load_bare
from backend.engines.chosen_attention import chosen_attention
from backend.engines.compile_trial import CHILD, JOB, RESULT, compiled_times
from backend.units import SystemClock

WIDTH = 16


class Network(nn.Module):
    """A layer, an attention that follows the settings, and a table of its own."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.again = self.layer
        self.attend = chosen_attention(SystemClock())
        self.register_buffer("places", torch.arange(3))

    def forward(self, tokens, factor=1.0):
        heads = self.again(self.layer(tokens))[:, None]
        return factor * self.attend(heads, heads, heads)[:, 0] + self.places.sum()


class Slow:
    """Takes a minute to be read."""

    def __reduce__(self):
        return time.sleep, (60,)


class Given:
    name, stage, autocast_dtype = "tiny", "shape_generation/denoise", None

    def __init__(self, module=None):
        self.module = (module or Network()).eval()

    def example(self):
        return (torch.randn(2, 3, WIDTH),), {"factor": 2.0}


def never():
    return False


def times(model, stop=never, backend="eager", **values):
    return compiled_times(model, values, SystemClock(), stop, backend)


@pytest.mark.server
def test_a_child_times_the_network_both_ways():
    found = times(Given(), attention="math")
    assert min(found.eager_s, found.compiled_s, found.compile_s) > 0
    assert found.compile_s > found.compiled_s


@pytest.mark.server
def test_whoever_waits_ends_the_child_at_once(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        compile_trial.subprocess,
        "Popen",
        lambda *a, **k: started.append(popen(*a, **k)) or started[0],
    )
    clock = SystemClock()
    began_s = clock.monotonic_s()
    assert times(Given(), stop=lambda: bool(started)) is None
    assert clock.monotonic_s() - began_s < 1.0
    assert not psutil.pid_exists(started[0].pid)


@pytest.mark.server
def test_the_child_ends_when_the_worker_is_gone(tmp_path):
    """The pipe closes however a worker ends; the child then gives up whatever it does."""
    dump_bare(Slow(), tmp_path / JOB)
    child = subprocess.Popen(
        [sys.executable, "-m", CHILD, str(tmp_path)], stdin=subprocess.PIPE, start_new_session=True
    )
    child.stdin.close()
    assert child.wait(20) == -9
    assert not (tmp_path / RESULT).exists()


def test_why_it_does_not_compile_is_told_and_no_figure(tmp_path, caplog):
    (tmp_path / RESULT).write_text(json.dumps({"failed": "RuntimeError: no compiler"}))
    caplog.set_level("INFO")
    assert compile_trial._read(tmp_path / RESULT) is None
    assert "no compiler" in caplog.text
    assert compile_trial._read(tmp_path / "missing") is None


def test_without_room_no_child_is_started(monkeypatch):
    monkeypatch.setattr(compile_trial.subprocess, "Popen", None)
    monkeypatch.setattr(compile_trial, "CONTEXT_BYTES", 2**60)
    assert times(Given()) is None


def test_what_cannot_be_sent_is_left_out(monkeypatch):
    monkeypatch.setattr(compile_trial.subprocess, "Popen", None)
    module = Network()
    module.hook = lambda: None
    assert times(Given(module)) is None


def test_a_bare_network_is_like_the_first_without_its_weights(tmp_path):
    module = Network(256).bfloat16()
    dump_bare(module, tmp_path / JOB)
    assert (tmp_path / JOB).stat().st_size < 10_000
    read = load_bare(tmp_path / JOB)
    assert read.layer.weight.shape == (256, 256)
    assert read.layer.weight.dtype is torch.bfloat16
    assert read.layer.weight is read.again.weight, "what is shared stays shared"
    assert isinstance(read.layer.weight, nn.Parameter)
    assert read.places.tolist() == [0, 1, 2], "indices keep their values"
    assert 0 < read.layer.weight.std() < 0.1
    with torch.inference_mode():
        read(torch.randn(2, 3, 256).bfloat16())
