"""The five tests of the memory manager that this one inherits, with assertions, and two more.

On a processor bytes are counted by a ledger of real tensors; ``tests/gpu/test_managed_on_cuda.py``
repeats what only a card can show.
"""

from __future__ import annotations

import threading

import pytest
import torch

from backend.errors import GpuBusy
from backend.residency.records import ModelSpec
from backend.tts_gpu_managed import GPUManagedTTS
from tests.residency.managed.conftest import bytes_there, open_ledger  # noqa: F401
from tests.residency.managed.speech_shaped import TinyTTS, weights_bytes

from .conftest import Caller, wait_until
from .tiny_models import TINY_MODELS


@pytest.fixture
def residency(open_ledger):  # noqa: F811
    return open_ledger()


@pytest.fixture
def tts(residency):
    return GPUManagedTTS("models/x", tts_class=TinyTTS, residency=residency)


def place(tts: GPUManagedTTS) -> str:
    return tts.get_gpu_status()["models"]["tts"]["location"]


def pass_time(residency, clock, seconds: float) -> None:
    clock.forward(seconds)
    table = residency.manager().table
    with table:
        table.changed()  # wakes the thread that watches the time


def program_of(residency) -> TinyTTS:
    return residency.manager().table.find("tts").loaded.program


def test_lazy_load(tts, residency):
    made = TinyTTS.made
    tts.get_gpu_status()
    assert (TinyTTS.made, residency.started, place(tts)) == (made, False, "unloaded")
    tts.clone("", "", "x")
    assert TinyTTS.made == made + 1


def test_offload_after_use(tts, residency):
    during = []
    tts.clone("", "", "x")
    program_of(residency).during = lambda program: during.append(bytes_there(residency))
    tts.clone("", "", "x")
    assert during[0] >= weights_bytes(program_of(residency))
    assert (bytes_there(residency), place(tts)) == (0, "CPU")
    with pytest.raises(ValueError, match="no such edit"):
        tts.edit("", "", "explode")
    assert (bytes_there(residency), place(tts)) == (0, "CPU")


def test_fast_restore(tts, residency):
    made = TinyTTS.made
    sounds = [tts.clone("", "", "x")[0] for _ in range(3)]
    row = tts.get_gpu_status()["models"]["tts"]
    assert TinyTTS.made == made + 1, "it was read from disk again"
    assert (row["loads"], row["restores"]) == (1, 3)
    assert row["last_restore"]["size_mb"] == row["size_mb"]
    assert all(torch.equal(sound, sounds[0]) for sound in sounds)


def test_idle_monitor(open_ledger, standing_clock):  # noqa: F811
    residency = open_ledger(clock=standing_clock, residency="auto")
    tts = GPUManagedTTS("models/x", tts_class=TinyTTS, residency=residency)
    for _ in range(5):  # a minute: often enough to stay between calls, not to stay for good
        tts.clone("", "", "x")
    size = weights_bytes(program_of(residency))
    pass_time(residency, standing_clock, 59)
    assert bytes_there(residency) >= size
    pass_time(residency, standing_clock, 2)
    wait_until(lambda: bytes_there(residency) == 0)
    assert place(tts) == "CPU"
    pass_time(residency, standing_clock, 601)
    wait_until(lambda: place(tts) == "unloaded")


def test_status(tts, residency):
    during = []
    tts.clone("", "", "x")
    program_of(residency).during = lambda program: during.append(tts.get_gpu_status())
    tts.clone("", "", "x")
    busy, idle = during[0], tts.get_gpu_status()
    size_mb = idle["models"]["tts"]["size_mb"]
    assert size_mb > 0
    assert (
        busy["models"]["tts"] | {"location": "GPU", "vram_mb": size_mb, "leases": 1}
        == (busy["models"]["tts"])
    )
    assert (busy["gpu_memory_mb"], idle["gpu_memory_mb"]) == (size_mb, 0)
    assert (
        idle["models"]["tts"] | {"location": "CPU", "idle_seconds": 0.0} == (idle["models"]["tts"])
    )
    assert idle["idle_timeout"] == 600.0


def test_bytes_really_leave_the_device(tts, residency):
    tts.clone("", "", "x")
    program = program_of(residency)
    weights = [program.llm.head.weight, program.cosy_model.cosy_impl.parts["hift"][0][0].weight]
    home = [weight.data_ptr() for weight in weights]
    there = []
    program.during = lambda _: there.append([weight.data_ptr() for weight in weights])
    tts.clone("", "", "x")
    assert not set(there[0]) & set(home), "the network computed from host memory"
    assert [weight.data_ptr() for weight in weights] == home
    reading = residency.manager().device.memory()
    assert (reading.allocated_bytes, reading.free_bytes) == (0, reading.total_bytes)


def test_a_request_in_flight_is_never_offloaded_by_another(tts, residency):
    residency.register(ModelSpec("shape", TINY_MODELS["tiny_convolution"][0]))
    tts.clone("", "", "x")
    program, go_on = program_of(residency), threading.Event()
    size = bytes_in_use = weights_bytes(program)
    program.busy.clear()
    program.during = lambda _: go_on.wait(5)
    caller = Caller(lambda: tts.clone("", "", "x"))
    assert program.busy.wait(5)
    assert tts.force_offload() == {"tts": "draining"}
    assert tts.force_release() == {"tts": "draining"}
    with residency.manager().lease("shape"):
        bytes_in_use = bytes_there(residency)
    with pytest.raises(GpuBusy):  # it leaves before it is leased again
        residency.manager().lease("tts", timeout_s=0.02)
    assert bytes_in_use > size
    assert program.llm.head.weight.numel() > 0
    go_on.set()
    assert torch.isfinite(caller.finished()[0]).all()
    wait_until(lambda: place(tts) == "unloaded")
