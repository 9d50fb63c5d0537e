"""A managed engine whose program has a process of its own; the transport has tests beside these."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from backend.errors import HostedEngineCrashed
from backend.residency.managed.managed_engine import ManagedEngine
from tests.residency.conftest import wait_until

from .conftest import state_of

PROGRAM = """
import os, signal

class Program:
    def __init__(self, words):
        self.words = words

    def say(self, text, **more):
        return [self.words, text, more, os.getpid()]

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

def make(words):
    return Program(words)
"""


@pytest.fixture
def engine(open_ledger, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    residency = open_ledger(1 << 40, residency="resident")
    with ManagedEngine(
        "guest", "program:make", ["say", "die"], venv=sys.executable, path=[tmp_path],
        arguments={"words": "ours"}, residency=residency, timeout_s=30.0,
    ) as made:  # fmt: skip
        yield made


def test_calls_are_the_same_and_a_death_costs_one_call_or_none(engine):
    words, text, more, pid = engine.say("x", loud=True)
    assert (words, text, more) == ("ours", "x", {"loud": True})
    assert pid != os.getpid()
    status = engine.status()
    assert (status["pid"], status["lives_in"]) == (pid, "a process of its own")
    with pytest.raises(HostedEngineCrashed):
        engine.die()
    wait_until(lambda: state_of(engine._residency, "guest") == "unloaded")
    second = engine.say("y")[3]
    assert second != pid
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: engine.status()["pid"] != second)
    third = engine.say("z")[3]  # it died while idle: no error
    assert third not in (pid, second)
    assert engine.status()["restarts"] == 2
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(third, 0)
