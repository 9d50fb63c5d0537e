"""Guests under the residency manager: one budget with the models of this process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
import torch

from backend.errors import HostedEngineCrashed, ModelTooLarge
from backend.residency.records import ModelSpec
from backend.units import MB
from tests.residency.conftest import Caller, wait_until
from tests.residency.tiny_models import TINY_MODELS

from .conftest import bytes_there, state_of

PROGRAMS = Path(__file__).parent / "programs"
PLAIN = ("echo", "sleep", "surroundings")


@pytest.fixture
def make_guest(make_engine):
    made = []

    def make(factory="plain_program:Plain", methods=PLAIN, **more):
        engine = make_engine(factory, methods, venv=sys.executable, path=[PROGRAMS], **more)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


def test_kill_in_the_middle_of_a_call_takes_the_bytes_off_the_ledger(make_guest, residency):
    engine = make_guest()
    call = Caller(lambda: engine.sleep())
    table = residency.manager().table
    wait_until(lambda: table.records["tts"].leases)
    record = table.records["tts"]
    assert bytes_there(residency) == record.block_bytes > MB, "what the process takes is counted"
    wait_until(lambda: "about to sleep" in record.loaded.connection.process.tail)
    os.kill(engine.status()["pid"], signal.SIGKILL)
    with pytest.raises(HostedEngineCrashed):
        call.finished()
    wait_until(lambda: state_of(residency) == "unloaded")
    assert bytes_there(residency) == 0
    assert not record.leases
    assert engine.echo(5, key=6) == ((5,), {"key": 6})
    assert engine.status()["restarts"] == 1


def test_a_death_while_idle_corrects_the_ledger_and_is_no_error_for_the_next(
    make_guest, open_ledger
):
    residency = open_ledger(residency="resident")
    engine = make_guest(residency=residency)
    pid = engine.surroundings()["pid"]
    assert bytes_there(residency) > 0
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: bytes_there(residency) == 0)
    assert engine.surroundings()["pid"] != pid


def test_a_guest_and_a_model_change_places_under_one_budget(make_guest, open_ledger):
    residency = open_ledger(residency="resident", total_bytes=64 * MB)
    residency.register(ModelSpec("mine", lambda: torch.nn.Linear(4096, 3000)))
    engine = make_guest(residency=residency)
    pid = engine.surroundings()["pid"]
    with residency.manager().lease("mine"):
        assert state_of(residency) == "host", "the guest had to leave for it"
        assert not psutil.pid_exists(pid), "and its memory went with it"
    assert engine.echo() == ((), {})
    assert state_of(residency, "mine") == "host", "and the other way round"
    engine.close()
    assert state_of(residency) == "unloaded"
    assert bytes_there(residency) == 0


def test_a_guest_that_never_fits_is_refused_and_its_process_ends(make_guest, open_ledger):
    residency = open_ledger(total_bytes=2 * MB)
    engine = make_guest(residency=residency)
    before = psutil.Process().children()
    with pytest.raises(ModelTooLarge):
        engine.echo()
    wait_until(lambda: psutil.Process().children() == before)


def test_weights_of_another_process_are_counted_moved_and_bit_equal(make_guest, residency):
    engine = make_guest("torch_program:WithTorch", ("run", "keeps"))
    data = torch.arange(256).bfloat16()
    first = engine.run(data)
    assert first.dtype == torch.bfloat16
    status = engine.status()
    assert status["size_mb"] == pytest.approx((256 * 257 + 16 * 17) * 4 / MB, abs=0.06)
    assert status["program"]["roots"] == ["parts['body']", "parts['voice'][0]"]
    assert bytes_there(residency) == 0, "it left after its use"
    assert torch.equal(engine.run(data), first)
    assert engine.keeps() == 0, "what it had declared was dropped each time it left"
    assert (status["state"], status["restarts"]) == ("host", 0)
    load, _ = TINY_MODELS["tiny_convolution"]
    residency.register(ModelSpec("own", load))
    with residency.manager().lease("own"):
        assert torch.equal(engine.run(data), first)
