"""Jobs that come late to a batch: they join what has not begun, and nobody waits for them."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from backend.batch_processor import BatchProcessor, run_engine
from backend.batching import shared_call
from backend.batching.arrival import Arrival, Place
from backend.batching.halving import Outcome
from backend.batching.meeting import Meeting
from backend.batching.shared_progress import Listener
from backend.errors import DeviceLost, InternalError, JobCanceled, NoSurfaceFound
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from tests.batching.conftest import NotedSink, wait_for
from tests.batching.scripted_engine import ScriptedEngine

STAGES = ("image_preprocessing", "shape_generation", "texture_synthesis")
CUT, SHAPE, TEXTURE = STAGES


class OpenBatch:
    """A batch of some jobs on time, the device it may have to wait for, and jobs that come late."""

    def __init__(self, processor, crew, progress):
        self.processor = processor
        self.turn = processor.turn
        self.crew = crew
        self.engine = ScriptedEngine()
        self._progress = progress
        self._device = ExitStack()

    def members(self, count=1):
        return self.processor.members(count, STAGES, is_open=True)

    def hold_device(self):
        self._device.enter_context(self.turn.taken())

    def free_device(self):
        self._device.close()

    def start(self, member, task, sink=None, engine=None, stage=SHAPE):
        """Start a job; returns its member."""

        def work():
            with member.present():
                return run_engine(engine or self.engine, task, self._progress(sink, stage))

        self.crew.start(task, work)
        return member

    def start_and_wait(self, member, task, sink=None, **options):
        """Start a job and return when it waits."""
        self.start(member, task, sink, **options)
        wait_for(lambda: member.is_waiting)
        return member

    def wait_for_call(self, ahead=1):
        """Wait until a call has asked for the device behind so many others."""
        wait_for(lambda: len(self.turn._queue) == ahead + 1)

    @property
    def calls(self):
        return [sorted(call) for call in self.engine.calls]


@pytest.fixture
def batch(tmp_path, crew, progress):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    optimizer = GPUOptimizer(history=history, read_status=lambda: {"devices": []})
    batch = OpenBatch(BatchProcessor(optimizer), crew, progress)
    yield batch
    batch.free_device()


def test_late_ones_join_a_call_that_waits_for_the_device(batch):
    batch.hold_device()
    (first,) = batch.members()
    batch.start_and_wait(first, "a")
    batch.wait_for_call()
    late = first.late(2)
    for member, task in zip(late, "bc", strict=True):
        batch.start_and_wait(member, task)
    assert first.is_open
    batch.free_device()
    assert batch.crew.join() == {"a": "A", "b": "B", "c": "C"}
    assert batch.calls == [["a", "b", "c"]]
    assert [member.batch_size for member in (first, *late)] == [3, 3, 3]
    assert not first.is_open


def test_who_comes_when_the_call_computes_makes_one_that_others_join(batch):
    (first,) = batch.members()
    late = first.late(2)
    open_meanwhile = []

    def during(tasks, _progress):
        if "a" in tasks:
            open_meanwhile.append(first.is_open)
            batch.start_and_wait(late[0], "b")
            batch.wait_for_call()
            batch.start_and_wait(late[1], "c")

    batch.engine.during = during
    batch.start(first, "a")
    assert batch.crew.join() == {"a": "A", "b": "B", "c": "C"}
    assert batch.calls == [["a"], ["b", "c"]]
    assert open_meanwhile == [False]
    assert [member.batch_size for member in (first, *late)] == [1, 2, 2]


def test_nobody_waits_for_who_comes_late(batch):
    on_time = batch.members(2)
    (late,) = on_time[0].late(1)
    for member, task in zip(on_time, "ab", strict=True):
        batch.start(member, task)
    assert batch.crew.join() == {"a": "A", "b": "B"}
    assert batch.calls == [["a", "b"]]
    batch.start(late, "c")
    assert batch.crew.join()["c"] == "C"


def test_a_late_one_is_served_with_those_on_time_who_have_still_to_come(batch):
    on_time = batch.members(2)
    (late,) = on_time[0].late(1)
    batch.start_and_wait(late, "c")
    batch.start_and_wait(on_time[0], "a")
    assert batch.calls == []
    batch.start(on_time[1], "b")
    assert batch.crew.join() == {"a": "A", "b": "B", "c": "C"}
    assert batch.calls == [["a", "b", "c"]]


def test_a_late_one_goes_on_by_itself_when_those_on_time_are_past_its_call(batch):
    """They have their mask already: they come to a later call, never to the one it waits at."""
    cut = ScriptedEngine("cut")
    on_time = batch.members(2)
    (late,) = on_time[0].late(1)
    batch.start_and_wait(late, "c", engine=cut, stage=CUT)
    for member, task in zip(on_time, "ab", strict=True):
        batch.start(member, task)
    assert batch.crew.join() == {"a": "A", "b": "B", "c": "C"}
    assert (cut.calls, batch.calls) == ([("c",)], [["a", "b"]])


def test_a_late_one_that_is_ahead_waits_at_the_later_call(batch):
    cut = ScriptedEngine("cut")
    (first,) = batch.members()
    (late,) = first.late(1)
    batch.start_and_wait(late, "b")

    def both():
        with first.present():
            return [
                run_engine(engine, "a", batch._progress(None, stage))
                for engine, stage in ((cut, CUT), (batch.engine, SHAPE))
            ]

    batch.crew.start("a", both)
    assert batch.crew.join() == {"a": ["A", "A"], "b": "B"}
    assert (cut.calls, batch.calls) == ([("a",)], [["a", "b"]])


def test_late_ones_go_on_together_when_everybody_on_time_has_left(batch):
    on_time = batch.members(2)
    late = on_time[0].late(2)
    for member, task in zip(late, "cd", strict=True):
        batch.start_and_wait(member, task)
    for member in on_time:
        member.leave()
    assert batch.crew.join() == {"c": "C", "d": "D"}
    assert batch.calls == [["c", "d"]]


def test_a_late_one_that_leaves_before_it_joins_is_not_missed(batch):
    batch.hold_device()
    (first,) = batch.members()
    batch.start_and_wait(first, "a")
    late = first.late(2)
    late[0].leave()
    sink = NotedSink()
    sink.stopped = True
    with late[1].present(), pytest.raises(JobCanceled):
        run_engine(batch.engine, "c", batch._progress(sink))
    batch.free_device()
    assert batch.crew.join() == {"a": "A"}
    assert batch.calls == [["a"]]


def test_a_late_one_that_is_canceled_while_those_on_time_are_to_come(batch):
    on_time, sink = batch.members(2), NotedSink()
    (late,) = on_time[0].late(1)
    batch.start_and_wait(late, "c", sink)
    sink.stopped = True
    wait_for(lambda: "c" in batch.crew.results)
    for member, task in zip(on_time, "ab", strict=True):
        batch.start(member, task)
    found = batch.crew.join()
    assert isinstance(found["c"], JobCanceled)
    assert (found["a"], found["b"], batch.calls) == ("A", "B", [["a", "b"]])


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_who_withdraws_before_the_turn_stays_out_of_the_call(batch, gone):
    """Also the first one, whose call it was; the call keeps its place in the order."""
    batch.hold_device()
    (first,) = batch.members()
    members = dict(zip("abc", (first, *first.late(2)), strict=True))
    sinks = {task: NotedSink() for task in members}
    for task, member in members.items():
        batch.start_and_wait(member, task, sinks[task])
    batch.wait_for_call()
    place = batch.turn._queue[1]
    sinks[gone].stopped = True
    wait_for(lambda: gone in batch.crew.results)
    assert batch.turn._queue[1] is place
    batch.free_device()
    found = batch.crew.join()
    assert isinstance(found.pop(gone), JobCanceled)
    assert found == {task: task.upper() for task in "abc" if task != gone}
    assert batch.calls == [sorted(found)]
    assert {members[task].batch_size for task in found} == {2}
    assert sinks[gone].steps == []


def test_a_call_that_nobody_wants_any_more_is_not_made(batch):
    batch.hold_device()
    (first,) = batch.members()
    sinks = [NotedSink(), NotedSink()]
    for member, task, sink in zip((first, *first.late(1)), "ab", sinks, strict=True):
        batch.start_and_wait(member, task, sink)
    for sink in sinks:
        sink.stopped = True
    found = batch.crew.join()
    assert all(isinstance(error, JobCanceled) for error in found.values())
    wait_for(lambda: len(batch.turn._queue) == 1)
    batch.free_device()
    assert batch.calls == []


def test_more_than_fits_is_halved(batch):
    batch.engine.room = 2
    batch.hold_device()
    (first,) = batch.members()
    members = (first, *first.late(3))
    for member, task in zip(members, "abcd", strict=True):
        batch.start_and_wait(member, task)
    batch.free_device()
    assert batch.crew.join() == {task: task.upper() for task in "abcd"}
    assert sorted(len(call) for call in batch.engine.calls) == [2, 2, 4]
    assert [member.batch_size for member in members] == [2] * 4


@pytest.mark.parametrize(
    ("late_task", "fault", "others"),
    [
        ("bad", NoSurfaceFound, None),
        ("defect", ZeroDivisionError, None),
        ("lost", DeviceLost, DeviceLost),
    ],
)
def test_a_fault_of_a_late_one_hits_the_others_as_ever(batch, late_task, fault, others):
    batch.hold_device()
    (first,) = batch.members()
    for member, task in zip((first, *first.late(2)), ("a", late_task, "c"), strict=True):
        batch.start_and_wait(member, task)
    batch.free_device()
    found = batch.crew.join()
    assert isinstance(found[late_task], fault)
    for task in "ac":
        assert isinstance(found[task], others) if others else found[task] == task.upper()
    assert not batch.turn.is_taken


def test_an_exit_in_the_call_is_told_to_late_ones_too(batch):
    def leave(_tasks, _progress):
        raise SystemExit(3)

    batch.engine.during = leave
    batch.hold_device()
    (first,) = batch.members()
    for member, task in zip((first, *first.late(1)), "ab", strict=True):
        batch.start_and_wait(member, task)
    batch.free_device()
    assert all(isinstance(error, InternalError) for error in batch.crew.join().values())


class NoThread:
    """What a machine gives that has no more threads."""

    def __init__(self, **_):
        pass

    def start(self):
        raise RuntimeError("can't start new thread")


def test_without_a_thread_one_job_makes_its_call_by_itself(batch, monkeypatch):
    monkeypatch.setattr(shared_call, "threading", SimpleNamespace(Thread=NoThread))
    (first,) = batch.members()
    (late,) = first.late(1)
    batch.start(first, "a")
    assert batch.crew.join() == {"a": "A"}
    assert not first.is_open
    batch.start(late, "b")
    assert batch.crew.join() == {"a": "A", "b": "B"}


def test_without_a_thread_several_are_told(batch, monkeypatch):
    monkeypatch.setattr(shared_call, "threading", SimpleNamespace(Thread=NoThread))
    on_time = batch.members(2)
    (late,) = on_time[0].late(1)
    batch.start_and_wait(late, "c")
    for member, task in zip(on_time, "ab", strict=True):
        batch.start(member, task)
    found = batch.crew.join()
    assert all(isinstance(error, InternalError) for error in found.values())
    assert len({id(error) for error in found.values()}) == 3


def test_late_ones_hear_of_the_progress(batch):
    batch.hold_device()
    (first,) = batch.members()
    sinks = [NotedSink(), NotedSink()]
    for member, task, sink in zip((first, *first.late(1)), "ab", sinks, strict=True):
        batch.start_and_wait(member, task, sink)
    batch.free_device()
    batch.crew.join()
    assert [sink.steps for sink in sinks] == [[(0, 2), (2, 2)]] * 2


def test_a_late_one_joins_when_all_the_others_have_just_withdrawn():
    """The call has been given up but has not ended; whoever comes then must not be lost."""
    given_up, joined, made = threading.Event(), threading.Event(), []

    def make(_engine, _progress, begin):
        if not given_up.is_set():
            given_up.set()
            assert joined.wait(10)
            raise JobCanceled
        made.append(list(begin()))
        return [Outcome(task.upper()) for task in made[-1]]

    meeting = Meeting(1, make, is_open=True)
    meeting.expect_late(1)
    first, late = arrival("a", is_late=False), arrival("b", is_late=True)
    meeting.arrive(first)
    assert given_up.wait(10)
    meeting.withdraw(first)
    meeting.leave()
    meeting.arrive(late)
    joined.set()
    wait_for(lambda: late.outcome is not None)
    assert (late.outcome.result, made, first.outcome) == ("B", [["b"]], None)


def test_a_turn_that_comes_when_the_last_one_has_just_withdrawn_makes_no_call():
    ended, withdrawn = [], threading.Event()

    def make(_engine, _progress, begin):
        assert withdrawn.wait(10)
        try:
            ended.append(begin())
        except JobCanceled:
            ended.append("not made")
            raise

    meeting = Meeting(1, make, is_open=True)
    only = arrival("a", is_late=False)
    meeting.arrive(only)
    meeting.withdraw(only)
    withdrawn.set()
    wait_for(lambda: ended)
    assert ended == ["not made"]


def test_once_nobody_can_join_a_single_job_calls_in_its_own_thread(batch):
    makers = []
    batch.engine.during = lambda tasks, _p: makers.append(threading.current_thread().name)
    (first,) = batch.members()
    (late,) = first.late(1)

    def work():
        with first.present():
            for stage in (CUT, SHAPE, TEXTURE):
                run_engine(batch.engine, "a", batch._progress(None, stage))
                if stage == SHAPE:
                    late.leave()

    batch.crew.start("a", work)
    batch.crew.join()
    assert makers[:2] == ["shared-call"] * 2
    assert makers[2] != "shared-call"


def arrival(task, *, is_late):
    progress = SimpleNamespace(stage=SHAPE)
    return Arrival(Place(1, 0, "e"), SimpleNamespace(), task, Listener(progress), is_late)


def spans_of(trace):
    """Names and kinds by depth, with what was noted but for times."""
    parents = {span.id: span for span in trace.profile.spans}

    def depth(span):
        return 0 if span.parent is None else 1 + depth(parents[span.parent])

    return [
        (depth(s), s.name, s.kind, {k: v for k, v in (s.attributes or {}).items() if k != "facts"})
        for s in trace.profile.spans
    ]


def test_a_call_of_one_that_others_may_join_shows_the_profile_of_a_call_by_itself(batch):
    from backend.profiling.work import note_work

    found = []

    def during(_tasks, _progress):
        note_work(3.0, 2.0, "float32")
        with profile_stage("denoise", SpanKind.GPU), profile_stage("step"):
            note_work(5.0, 1.0, "float32")

    batch.engine.during = during
    for is_open in (False, True):
        batch.hold_device()
        (member,) = batch.processor.members(1, STAGES, is_open=is_open)

        def work(member=member):
            with record_pipeline("a") as trace, member.present(), profile_stage(SHAPE):
                run_engine(batch.engine, "a", batch._progress())
            found.append((spans_of(trace), member.batch_size, member.waited_s > 0))

        batch.crew.start(is_open, work)
        batch.wait_for_call()
        batch.free_device()
        batch.crew.join()
    alone, shared = found
    assert shared == alone
    assert ("device_wait", SpanKind.LOCK) in [(name, kind) for _, name, kind, _ in alone[0]]
