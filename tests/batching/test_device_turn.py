from __future__ import annotations

import threading

import pytest

from backend.batching.device_turn import WAIT, DeviceTurn
from backend.errors import JobCanceled
from backend.profiling.recorder import record_pipeline
from backend.profiling.spans import SpanKind


def test_one_at_a_time_in_the_order_of_asking(crew):
    turn, order, go = DeviceTurn(), [], threading.Event()
    queued = threading.Semaphore(0)

    def hold():
        with turn.taken():
            queued.release()
            go.wait(10)
            order.append("first")

    def follow(name):
        def check():
            queued.release()

        with turn.taken(check):
            order.append(name)

    crew.start("first", hold)
    queued.acquire(timeout=10)
    for name in ("second", "third"):
        crew.start(name, lambda name=name: follow(name))
        queued.acquire(timeout=10)
    assert turn.is_taken
    go.set()
    crew.join()
    assert order == ["first", "second", "third"]
    assert not turn.is_taken


def test_who_gives_up_waiting_does_not_block_the_next(crew):
    turn, go, waits = DeviceTurn(), threading.Event(), threading.Event()

    def hold():
        with turn.taken():
            waits.set()
            go.wait(10)

    def give_up():
        raise JobCanceled

    crew.start("first", hold)
    waits.wait(10)
    with pytest.raises(JobCanceled), turn.taken(give_up):
        pass
    go.set()
    crew.join()
    with turn.taken():
        assert turn.is_taken


def test_waiting_is_recorded_as_waiting_and_only_then(crew):
    turn, go, waits = DeviceTurn(), threading.Event(), threading.Event()

    def hold():
        with turn.taken():
            waits.set()
            go.wait(10)

    crew.start("first", hold)
    waits.wait(10)
    with record_pipeline("job") as trace, turn.taken(go.set):
        pass
    crew.join()
    assert [(s.name, s.kind) for s in trace.profile.spans] == [(WAIT, SpanKind.LOCK)]
    with record_pipeline("job") as trace, turn.taken():
        pass
    assert trace.profile.spans == []


def test_whoever_takes_the_turn_is_told():
    turn, told = DeviceTurn(), []
    turn.on_taken = lambda: told.append(turn.is_taken)
    with turn.taken():
        assert told == [True]
