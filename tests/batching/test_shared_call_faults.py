"""What may go wrong in a call that several jobs share, and must hold up none of them."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest

from backend.batch_processor import BatchProcessor, DeviceTurn, run_engine
from backend.errors import InternalError, JobCanceled, NoSurfaceFound
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from tests.batching.conftest import NotedSink, wait_for
from tests.batching.scripted_engine import ScriptedEngine

STAGES = ("image_preprocessing", "shape_generation", "texture_synthesis")


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    optimizer = GPUOptimizer(history=history, read_status=lambda: {"devices": []})
    return BatchProcessor(optimizer)


@pytest.fixture
def share(processor, crew, progress):
    """Start one job per task in a batch; each calls the engine once."""

    def start(engine, tasks, sinks=None, claim=0):
        members = processor.members(len(tasks), STAGES)
        for number, (task, member) in enumerate(zip(tasks, members, strict=True)):
            sink = sinks[number] if sinks else None

            def work(task=task, member=member, sink=sink):
                with member.present():
                    return run_engine(engine, task, progress(sink))

            crew.start((claim, number), work)
        return members

    return start


@pytest.mark.parametrize("exit_with", [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_in_the_call_is_told_to_the_jobs(share, crew, processor, exit_with):
    engine = ScriptedEngine()

    def leave(_tasks, _progress):
        raise exit_with

    engine.during = leave
    share(engine, ["a", "b"])
    found = crew.join()
    assert all(isinstance(error, InternalError) for error in found.values()), found
    assert not processor.turn.is_taken


def test_a_record_that_cannot_be_kept_holds_up_nobody(share, crew, monkeypatch):
    import backend.batching.shared_call as shared_call

    def broken(*_, **__):
        raise OSError("no record")

    monkeypatch.setattr(shared_call, "start_pipeline", broken)
    share(ScriptedEngine(), ["a", "b"])
    assert all(isinstance(error, InternalError) for error in crew.join().values())


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_engine_may_call_another_one(share, crew, progress, jobs):
    """The inner call belongs to the outer one, which has the device and all the jobs."""
    outer, inner = ScriptedEngine("outer"), ScriptedEngine("inner")
    found = []
    outer.during = lambda tasks, _p: found.append(run_engine(inner, tasks[0], progress()))
    share(outer, ["a", "b", "c"][:jobs])
    assert sorted(crew.join().values()) == ["A", "B", "C"][:jobs]
    assert [len(call) for call in inner.calls] == [1]


class Tensor:
    """Memory of a device."""


class Hoarder:
    """An engine whose frames hold memory when they fail, here or in what they call."""

    name, title, needs, batches = "hoarder", "Hoarder", SimpleNamespace(device="cpu"), True

    def __init__(self, failure):
        self.failure = failure
        self.held: list[weakref.ref[Tensor]] = []
        self.alive_at_call: list[int] = []

    def run(self, batch, progress):
        self.alive_at_call.append(sum(ref() is not None for ref in self.held))
        tensor = Tensor()
        self.held.append(weakref.ref(tensor))
        if "bad" in batch or len(batch) > 1:
            try:
                self._deeper()
            except ValueError as error:
                raise self.failure() from error
        return list(batch)

    def _deeper(self):
        tensor = Tensor()
        self.held.append(weakref.ref(tensor))
        raise ValueError


@pytest.mark.parametrize("failure", [lambda: NoSurfaceFound("Scripted."), MemoryError])
def test_the_frames_of_a_failure_hold_nothing_while_the_others_run(share, crew, failure):
    engine = Hoarder(failure)
    gc.disable()  # what waits for the collector may wait for minutes
    try:
        share(engine, ["bad", "b", "c", "bad"])
        found = crew.join()
        assert engine.alive_at_call == [0] * len(engine.alive_at_call)
        assert len(engine.alive_at_call) >= 5
        assert sum(ref() is not None for ref in engine.held) == 0
    finally:
        gc.enable()
    assert [found[0, 1], found[0, 2]] == ["b", "c"]


def test_a_wait_for_the_device_is_on_the_record_once(processor, crew, progress):
    """The job waited for all of it by itself; the call's own wait is the same time again."""
    engine, profiles = ScriptedEngine(), {}

    def work(member, task):
        with record_pipeline(task) as trace, member.present(), profile_stage("shape_generation"):
            run_engine(engine, task, progress())
        profiles[task] = trace.profile

    with processor.turn.taken():
        members = processor.members(2, STAGES)
        for task, member in zip("ab", members, strict=True):
            crew.start(task, lambda m=member, t=task: work(m, t))
        wait_for(lambda: all(member.is_waiting for member in members))
        wait_for(lambda: len(processor.turn._queue) == 2)
        threading.Event().wait(0.3)
    crew.join()
    for profile in profiles.values():
        waits = [span.name for span in profile.spans if span.kind is SpanKind.LOCK]
        assert waits == ["batch_wait"]
        own_ns = sum(profile.self_ns(span) for span in (*profile.spans, None))
        assert own_ns - profile.total_ns < 0.1e9, "self times add up to the whole"
        stage = next(span for span in profile.spans if span.name == "shape_generation")
        assert stage.attributes["facts"]["wait"]["elapsed_s"] >= 0.3


def test_a_call_that_nobody_waits_for_is_told_from_one_that_is_wanted(share, crew, processor):
    engine, sinks = ScriptedEngine(), [NotedSink(), NotedSink()]
    stuck = {"go": False}
    engine.during = lambda _tasks, _progress: wait_for(lambda: stuck["go"])
    share(engine, ["a", "b"], sinks)
    wait_for(lambda: engine.at_once == 1)
    assert processor.turn.unwanted() is None
    sinks[0].stopped = True
    wait_for(lambda: (0, 0) in crew.results)
    assert processor.turn.unwanted() is None, "one still waits"
    sinks[1].stopped = True
    found = crew.join()
    assert all(isinstance(error, JobCanceled) for error in found.values())
    assert processor.turn.unwanted() is not None, "it goes on, and holds up whoever is next"
    assert processor.turn.unwanted() is processor.turn.unwanted()
    stuck["go"] = True
    wait_for(lambda: not processor.turn.is_taken)
    assert processor.turn.unwanted() is None


def test_a_holder_that_cannot_be_asked_is_wanted():
    turn = DeviceTurn()

    def away():
        raise OSError("the database is away")

    with turn.taken(away):
        assert turn.unwanted() is None
