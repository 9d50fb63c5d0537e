"""Jobs of a batch, each in a thread of its own, with engines that gain from batches."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from backend.batch_processor import BatchProcessor, run_engine
from backend.errors import DeviceLost, JobCanceled, NoSurfaceFound, OutOfMemory
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.progress import stop_if_asked
from backend.runtime_settings import SettingName, in_force, number_of
from tests.batching.conftest import NotedSink, wait_for
from tests.batching.scripted_engine import ScriptedEngine

STAGES = ("image_preprocessing", "shape_generation", "texture_synthesis")


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    optimizer = GPUOptimizer(history=history, read_status=lambda: {"devices": []})
    return BatchProcessor(optimizer)


@pytest.fixture
def run_batch(processor, crew, progress):
    """Run one job per task: each calls the engine once."""

    def run(engine, tasks, sinks=None):
        members = processor.members(len(tasks), STAGES)
        for number, (task, member) in enumerate(zip(tasks, members, strict=True)):
            sink = sinks[number] if sinks else None

            def work(task=task, member=member, sink=sink):
                with member.present():
                    return run_engine(engine, task, progress(sink))

            crew.start(number, work)
        found = crew.join()
        return [found[number] for number in range(len(tasks))], members

    return run


def test_all_jobs_share_one_call_and_get_their_own_result(run_batch):
    engine = ScriptedEngine()
    found, members = run_batch(engine, ["a", "b", "c", "d"])
    assert found == ["A", "B", "C", "D"]
    assert [sorted(call) for call in engine.calls] == [["a", "b", "c", "d"]]
    assert [member.batch_size for member in members] == [4] * 4


def test_an_engine_that_does_not_gain_is_called_for_each(run_batch):
    engine = ScriptedEngine(batches=False)
    found, members = run_batch(engine, ["a", "b", "c"])
    assert found == ["A", "B", "C"]
    assert sorted(engine.calls) == [("a",), ("b",), ("c",)]
    assert [member.batch_size for member in members] == [1] * 3


def test_a_job_that_fails_before_the_call_holds_up_nobody(processor, crew, progress):
    engine = ScriptedEngine()
    first, second, third = processor.members(3, STAGES)

    def work(member, task):
        with member.present():
            return run_engine(engine, task, progress())

    def fail():
        with third.present():
            raise NoSurfaceFound

    crew.start("a", lambda: work(first, "a"))
    crew.start("b", lambda: work(second, "b"))
    crew.start("c", fail)
    found = crew.join()
    assert (found["a"], found["b"]) == ("A", "B")
    assert isinstance(found["c"], NoSurfaceFound)
    assert [sorted(call) for call in engine.calls] == [["a", "b"]]


def test_the_last_one_left_goes_on_alone(processor, crew, progress):
    engine = ScriptedEngine()
    first, second = processor.members(2, STAGES)

    def work():
        with first.present():
            return run_engine(engine, "a", progress())

    crew.start("a", work)
    second.leave()
    second.leave()  # more than once is as good as once
    assert crew.join()["a"] == "A"
    assert engine.calls == [("a",)]


def test_jobs_at_different_calls_meet_again_later(processor, crew, progress):
    """One job has its mask already: the others' first call must not wait for it for ever."""
    cut, shape = ScriptedEngine("cut"), ScriptedEngine("shape")
    members = processor.members(3, STAGES)

    def work(member, task, *, is_cut):
        with member.present():
            if is_cut:
                run_engine(cut, task, progress(stage="image_preprocessing"))
            return run_engine(shape, task, progress(stage="shape_generation"))

    for number, (task, member) in enumerate(zip("abc", members, strict=True)):
        crew.start(task, lambda m=member, t=task, n=number: work(m, t, is_cut=n > 0))
    assert crew.join() == {"a": "A", "b": "B", "c": "C"}
    assert [sorted(call) for call in cut.calls] == [["b", "c"]]
    assert [sorted(call) for call in shape.calls] == [["a", "b", "c"]]


def test_only_the_guilty_job_fails(run_batch):
    found, members = run_batch(ScriptedEngine(), ["a", "bad", "c"])
    assert (found[0], found[2]) == ("A", "C")
    assert isinstance(found[1], NoSurfaceFound)
    assert [member.batch_size for member in members] == [1, 1, 1], "it ran alone in the end"


def test_short_memory_halves_and_the_next_batch_is_smaller(processor, run_batch):
    from backend.batch_processor import BatchedStage

    engine = ScriptedEngine(room=2)
    found, members = run_batch(engine, ["a", "b", "c", "d"])
    assert found == ["A", "B", "C", "D"]
    assert [member.batch_size for member in members] == [2] * 4
    stage = BatchedStage("shape_generation", engine)
    assert processor.safe_size([stage], waiting=8) == 3, "one below what ran out of memory"


def test_a_single_job_without_room_fails_as_out_of_memory(run_batch):
    found, _ = run_batch(ScriptedEngine(room=0), ["a", "b"])
    assert all(isinstance(error, OutOfMemory) for error in found)


def test_a_lost_device_is_told_to_every_job(run_batch):
    found, _ = run_batch(ScriptedEngine(), ["a", "lost", "c"])
    assert all(isinstance(error, DeviceLost) for error in found)
    assert len({id(error) for error in found}) == 3, "each raises an error of its own"


def test_all_jobs_hear_of_the_progress(run_batch):
    sinks = [NotedSink() for _ in range(3)]
    run_batch(ScriptedEngine(), ["a", "b", "c"], sinks)
    assert [sink.steps for sink in sinks] == [[(0, 2), (2, 2)]] * 3


def test_a_canceled_job_leaves_at_once_and_the_others_go_on(run_batch, crew):
    engine, sinks = ScriptedEngine(), [NotedSink() for _ in range(3)]
    ended = []

    def during(_tasks, progress):
        sinks[1].stopped = True
        wait_for(lambda: 1 in crew.results)
        ended.append(sorted(crew.results))
        progress.step(1, 2)

    engine.during = during
    found, _ = run_batch(engine, ["a", "b", "c"], sinks)
    assert ended == [[1]], "it did not wait for the call, and the others do"
    assert (found[0], found[2]) == ("A", "C")
    assert isinstance(found[1], JobCanceled)
    assert len(engine.calls) == 1
    assert sinks[1].steps == [(0, 2)], "it hears no more"


def test_a_cancel_before_the_others_have_come(processor, crew, progress):
    engine, sink = ScriptedEngine(), NotedSink()
    first, second = processor.members(2, STAGES)

    def stop_later():
        with first.present():
            return run_engine(engine, "a", progress(sink))

    def come_late():
        with second.present():
            wait_for(lambda: first.is_waiting)
            sink.stopped = True
            wait_for(lambda: "a" in crew.results)
            return run_engine(engine, "b", progress())

    crew.start("a", stop_later)
    crew.start("b", come_late)
    found = crew.join()
    assert isinstance(found["a"], JobCanceled)
    assert found["b"] == "B"
    assert engine.calls == [("b",)]


def test_the_call_stops_when_every_job_was_canceled(run_batch):
    engine, sinks = ScriptedEngine(), [NotedSink() for _ in range(2)]
    reached = []

    def during(_tasks, progress):
        for sink in sinks:
            sink.stopped = True
        progress.step(1, 2)
        with suppress(IndexError):
            progress.check_canceled()
        reached.append("not stopped")

    engine.during = during
    found, _ = run_batch(engine, ["a", "b"], sinks)
    assert all(isinstance(error, JobCanceled) for error in found)
    assert len(engine.calls) == 1
    assert reached == []


def _load_for_ever(_tasks, _progress):
    wait_for(_stops)


def _stops() -> bool:
    stop_if_asked()
    return False


def test_what_a_shared_call_loads_stops_when_nobody_wants_it(run_batch, crew):
    engine, sinks = ScriptedEngine(), [NotedSink() for _ in range(2)]
    reached = []

    def during(tasks, progress):
        sinks[0].stopped = True
        wait_for(lambda: 0 in crew.results)
        stop_if_asked()
        reached.append("one is left")
        sinks[1].stopped = True
        _load_for_ever(tasks, progress)

    engine.during = during
    found, _ = run_batch(engine, ["a", "b"], sinks)
    assert all(isinstance(error, JobCanceled) for error in found)
    assert reached == ["one is left"]


@pytest.mark.parametrize("batches", [True, False])
def test_what_the_call_of_one_job_loads_stops_with_it(run_batch, batches):
    engine, sink = ScriptedEngine(batches=batches), NotedSink()

    def during(tasks, progress):
        sink.stopped = True
        _load_for_ever(tasks, progress)

    engine.during = during
    (found,), _ = run_batch(engine, ["a"], [sink])
    assert isinstance(found, JobCanceled)


def test_what_a_call_outside_of_batches_loads_stops_with_its_job(progress):
    engine, sink = ScriptedEngine(), NotedSink()
    reached = []

    def during(_tasks, _progress):
        sink.stopped = True
        stop_if_asked()
        reached.append("not stopped")

    engine.during = during
    with pytest.raises(JobCanceled):
        run_engine(engine, "a", progress(sink))
    assert reached == []


def test_a_sink_that_breaks_fails_its_own_job_only(run_batch):
    engine, sinks = ScriptedEngine(), [NotedSink() for _ in range(3)]
    sinks[0].broken = True
    found, _ = run_batch(engine, ["a", "b", "c"], sinks)
    assert isinstance(found[0], OSError)
    assert found[1:] == ["B", "C"]


def test_the_shared_call_runs_with_the_settings_of_the_jobs(processor, crew, progress):
    engine, seen = ScriptedEngine(), []
    engine.during = lambda _tasks, _progress: seen.append(number_of(SettingName.EXPORT_THREADS))
    members = processor.members(2, STAGES)

    def work(member, task):
        with in_force({"export_threads": 4}), member.present():
            return run_engine(engine, task, progress())

    for task, member in zip("ab", members, strict=True):
        crew.start(task, lambda m=member, t=task: work(m, t))
    crew.join()
    assert seen == [4]


def test_every_profile_shows_the_stages_of_the_shared_call(processor, crew, progress):
    from backend.profiling.work import note_work

    engine, profiles = ScriptedEngine(), {}

    def during(_tasks, _progress):
        note_work(3.0, 2.0, "float32")
        with profile_stage("denoise", SpanKind.GPU), profile_stage("step"):
            note_work(5.0, 1.0, "float32")

    engine.during = during
    members = processor.members(2, STAGES)

    def work(member, task):
        with record_pipeline(task) as trace, member.present(), profile_stage("shape_generation"):
            run_engine(engine, task, progress())
        profiles[task] = trace.profile

    for task, member in zip("ab", members, strict=True):
        crew.start(task, lambda m=member, t=task: work(m, t))
    crew.join()
    for profile in profiles.values():
        spans = {span.name: span for span in profile.spans if span.kind is not SpanKind.LOCK}
        assert set(spans) == {"shape_generation", "denoise", "step"}
        assert spans["denoise"].parent == spans["shape_generation"].id
        assert spans["step"].parent == spans["denoise"].id
        assert spans["denoise"].attributes["shared_by"] == 2
        outer, inner = spans["shape_generation"], spans["denoise"]
        assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns
        assert (outer.attributes["flop"], spans["step"].attributes["flop"]) == (3.0, 5.0)


def test_waiting_for_others_is_no_work(processor, crew, progress):
    engine, profiles = ScriptedEngine(), {}
    first, second = processor.members(2, STAGES)

    def early():
        with record_pipeline("a") as trace, first.present():
            run_engine(engine, "a", progress())
        profiles["a"] = trace.profile

    def late():
        wait_for(lambda: first.is_waiting)
        with second.present():
            return run_engine(engine, "b", progress())

    crew.start("a", early)
    crew.start("b", late)
    crew.join()
    waits = [span for span in profiles["a"].spans if span.kind is SpanKind.LOCK]
    assert [span.name for span in waits] == ["batch_wait"]
    assert first.waited_s > 0
    assert not first.is_waiting


def test_two_batches_never_compute_at_once(processor, crew, progress):
    engine = ScriptedEngine()
    engine.during = lambda _tasks, _progress: threading.Event().wait(0.05)
    for claim in range(2):
        for number, member in enumerate(processor.members(2, STAGES)):

            def work(member=member, number=number):
                with member.present():
                    return run_engine(engine, f"t{number}", progress())

            crew.start((claim, number), work)
    crew.join()
    assert len(engine.calls) == 2
    assert engine.most_at_once == 1


def test_outside_a_batch_the_engine_is_simply_called(progress):
    engine = ScriptedEngine()
    assert run_engine(engine, "a", progress()) == "A"
    with pytest.raises(ZeroDivisionError):
        run_engine(engine, "defect", progress())


def test_many_batches_of_jobs_that_fail_or_leave_at_random_never_hang(processor, crew, progress):
    import random

    chance = random.Random(7)
    engines = [ScriptedEngine("one"), ScriptedEngine("two", room=2)]
    expected = {}
    for claim in range(30):
        size = chance.choice((1, 2, 3, 5))
        for number, member in enumerate(processor.members(size, STAGES)):
            name = (claim, number)
            task = chance.choice(("a", "b", "bad", "defect"))
            skip, leave = chance.random() < 0.3, chance.random() < 0.2
            expected[name] = None if leave else {"bad": NoSurfaceFound, "defect": ZeroDivisionError}

            def work(member=member, task=task, skip=skip, leave=leave):
                with member.present():
                    if leave:
                        return None
                    if not skip:
                        run_engine(engines[0], task, progress(stage=STAGES[0]))
                    return run_engine(engines[1], task, progress(stage=STAGES[1]))

            expected[name] = None if leave else expected[name].get(task, task.upper())
            crew.start(name, work)
    found = crew.join(60)
    for name, what in expected.items():
        if isinstance(what, type):
            assert isinstance(found[name], what), name
        else:
            assert found[name] == what, name
    assert not processor.turn.is_taken
