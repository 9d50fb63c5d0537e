"""The loop that claims and runs jobs: threads, batches, the claim beside another one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest

from backend.batch_processor import BatchProcessor, run_engine
from backend.errors import JobCanceled
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.jobs.claim_plan import ClaimPlan
from backend.jobs.claims import ClaimedJob
from backend.jobs.drain_loop import DrainLoop
from backend.jobs.held_jobs import HeldJobs
from backend.jobs.turns import Turns
from backend.jobs.waiting_work import WaitingKind
from backend.progress import SilentSink, StageProgress
from backend.units import SystemClock
from tests.batching.conftest import wait_for
from tests.batching.scripted_engine import ScriptedEngine

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LATE = 100  # added to the size of a plan for what comes late
KIND = WaitingKind("b", "image_to_3d", "g", False, 1, "0", NOW, NOW)


class Work:
    """Claims to be made, and what became of their jobs."""

    def __init__(self, processor):
        self.turns = Turns()
        self.held = HeldJobs()
        self.processor = processor
        self.engine = ScriptedEngine()
        self.claims: list[tuple[list[str], bool]] = []
        self.late: list[list[str]] = []
        self.asked_late: list[dict[str, int]] = []
        self.ran: dict[str, str] = {}
        self.most_held = 0
        self.before = lambda _name: None
        self.after = lambda _name: None

    def plan(self, *, beside_another=False):
        if not self.claims:
            return None
        names, may_overlap = self.claims[0]
        if beside_another and not may_overlap:
            return None
        return ClaimPlan(KIND, max(1, len(names)), may_overlap)

    def plan_late(self, sizes):
        self.asked_late.append(dict(sizes))
        if not self.late or KIND.batch_key not in sizes:
            return None
        return ClaimPlan(KIND, LATE + len(self.late[0]), True)

    def claim(self, plan):
        names = self.late.pop(0) if plan.size >= LATE else self.claims.pop(0)[0]
        return [ClaimedJob(n, "image_to_3d", {}, (), ("shape_generation",), "me", 1) for n in names]

    def run(self, held):
        name = held.job.id
        self.most_held = max(self.most_held, len(self.held.all()))
        self.before(name)
        if name.startswith("broken"):
            raise OSError("the database is away")
        progress = StageProgress(SilentSink(), "shape_generation")
        if held.member is None:
            self.ran[name] = f"{self.engine.run([name], progress)[0]} in {_thread()}"
        else:
            with held.member.present():
                result = run_engine(self.engine, name, progress)
            self.after(name)
            self.ran[name] = f"{result} of {held.member.batch_size}"

    def loop(self):
        return DrainLoop(
            self, self.claim, self.run, lambda _job: SimpleNamespace(stage=None), self.held,
            lambda: self.processor, SystemClock(),
        )  # fmt: skip


def _thread():
    return "main" if threading.current_thread() is threading.main_thread() else "its own"


@pytest.fixture
def work(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    optimizer = GPUOptimizer(history=history, read_status=lambda: {"devices": []})
    return Work(BatchProcessor(optimizer))


def test_single_jobs_run_one_by_one_on_the_main_thread(work):
    work.claims = [(["a"], False), (["b"], False)]
    done, last = work.loop().drain()
    assert (done, last.id) == (2, "b")
    assert work.ran == {"a": "A in main", "b": "B in main"}
    assert work.most_held == 1
    assert work.held.all() == ()


def test_jobs_of_a_claim_run_as_a_batch(work):
    work.claims = [(["a", "b", "c"], False), (["d"], False)]
    assert work.loop().drain()[0] == 4
    assert work.ran == {"a": "A of 3", "b": "B of 3", "c": "C of 3", "d": "D in main"}
    assert sorted(work.engine.calls[0]) == ["a", "b", "c"]


def test_nothing_waits(work):
    assert work.loop().drain() == (0, None)


def test_a_claim_that_others_took_is_planned_anew(work):
    work.claims = [([], False), (["a"], False)]
    assert work.loop().drain()[0] == 1


def test_a_job_that_breaks_its_thread_holds_up_neither_siblings_nor_the_loop(work):
    work.claims = [(["a", "broken", "c"], True), (["d"], False)]
    assert work.loop().drain()[0] == 4
    assert work.ran == {"a": "A of 2", "c": "C of 2", "d": "D in main"}
    assert work.held.all() == ()


def test_the_next_claim_is_prepared_while_the_device_computes(work):
    work.claims = [(["a"], True), (["b"], True), (["c"], True)]
    prepared = threading.Event()
    order = []

    def before(name):
        order.append(name)
        if name == "b":
            prepared.set()

    def during(tasks, _progress):
        if tasks[0] == "a":
            assert prepared.wait(10), "b is not begun while a computes"
            threading.Event().wait(0.5)
            assert "c" not in order, "never more than one claim ahead"

    work.before, work.engine.during = before, during
    assert work.loop().drain()[0] == 3
    assert sorted(work.ran) == ["a", "b", "c"]
    assert work.engine.most_at_once == 1, "the device is for one call at a time"
    assert work.most_held == 2


def test_the_next_claim_is_not_made_before_the_device_computes(work):
    work.claims = [(["a"], True), (["b"], True)]
    go, begun = threading.Event(), []

    def before(name):
        begun.append(name)
        if name == "a":
            go.wait(0.6)
            assert begun == ["a"]

    work.before = before
    assert work.loop().drain()[0] == 2
    assert sorted(work.ran) == ["a", "b"]


def test_no_claim_beside_one_that_must_be_alone(work):
    work.claims = [(["a", "b"], False), (["c"], True)]
    seen = []
    work.engine.during = lambda tasks, _p: (
        threading.Event().wait(0.4),
        seen.append([held.job.id for held in work.held.all()]),
    )
    work.loop().drain()
    assert seen == [["a", "b"], ["c"]]


def test_work_that_must_be_alone_waits_until_the_other_has_ended(work):
    work.claims = [(["a"], True), (["b"], False)]
    work.engine.during = lambda _tasks, _p: threading.Event().wait(0.4)
    work.loop().drain()
    assert work.most_held == 1
    assert work.ran["b"] == "B in main"


def test_how_long_claims_take_is_told(work):
    work.claims = [(["a", "b"], False), (["c"], False)]
    work.engine.during = lambda _tasks, _p: threading.Event().wait(0.05)
    work.loop().drain()
    assert len(work.turns._times_s) == 2
    assert all(0.05 <= elapsed_s < 5 for elapsed_s in work.turns._times_s)


def test_one_claim_ends_on_the_cpu_while_the_next_computes(work):
    """The export of one claim and the call of the next go on side by side."""
    work.claims = [(["a"], True), (["b"], True)]
    called = threading.Event()

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
        else:
            called.set()

    work.engine.during = during
    work.after = lambda name: wait_for(called.is_set) if name == "a" else None
    assert work.loop().drain()[0] == 2


def test_the_loop_tells_of_a_call_that_no_job_waits_for(work):
    loop = work.loop()
    assert loop.unwanted_call() is None, "nothing has run, so nothing was made"
    work.claims = [(["a", "b"], True)]
    seen = []

    def during(_tasks, _progress):
        seen.append(loop.unwanted_call())
        holder = work.processor.turn._queue[0]
        object.__setattr__(holder, "check", _raise_canceled)
        seen.append(loop.unwanted_call() is holder)

    work.engine.during = during
    loop.drain()
    assert seen == [None, True]
    assert loop.unwanted_call() is None


def _raise_canceled():
    raise JobCanceled


def test_it_does_not_spin_while_others_hold_what_waits(work):
    """A row that somebody has locked is planned again and again until it is free."""
    work.claims = [([], False)] * 5 + [(["a"], False)]
    asked = []
    plan = work.plan
    work.plan = lambda **options: (asked.append(SystemClock().monotonic_s()), plan(**options))[1]
    assert work.loop().drain()[0] == 1
    pauses = [after - before for before, after in pairwise(asked[:6])]
    assert min(pauses) >= 0.015


def job_names(jobs):
    return [held.job.id for held in jobs]


def test_jobs_that_come_in_while_the_device_computes_join_the_claim_beside_it(work):
    work.claims = [(["a"], True), (["b"], True)]
    late = [["c"], ["d", "e"]]
    sizes, turns = [], []
    work.turns.took = lambda kind, _now: turns.append(kind)

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            work.late = late
            wait_for(lambda: len(work.held.all()) == 5)
            wait_for(lambda: all(held.is_waiting for held in work.held.all()[1:]))
            sizes.extend(held.batch_size for held in work.held.all())

    work.engine.during = during
    done, last = work.loop().drain()
    assert (done, last.id) == (5, "e")
    assert work.ran == {"a": "A of 1"} | {name: f"{name.upper()} of 4" for name in "bcde"}
    assert sizes == [1, 4, 4, 4, 4], "each of the claim may take as long as all of them"
    assert {1, 2} <= {size for sizes in work.asked_late for size in sizes.values()}
    assert len(work.turns._times_s) == 2, "they belong to the claim that they joined"
    assert turns == [KIND] * 4, "whose turn it is, is told of each"


def test_a_claim_is_open_until_its_own_call_begins(work):
    work.claims = [(["a"], True), (["b"], True)]
    asked = []

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            wait_for(lambda: work.asked_late)
        else:
            asked.append(len(work.asked_late))
            threading.Event().wait(0.6)
            asked.append(len(work.asked_late))

    work.engine.during = during
    assert work.loop().drain()[0] == 2
    assert sorted(work.ran) == ["a", "b"]
    assert asked[0] in (asked[1], asked[1] - 1), "once at most, when it had just looked"


def test_the_first_claim_is_never_open(work):
    work.claims, work.late = [(["a", "b"], True)], [["never"]]
    work.engine.during = lambda _tasks, _p: threading.Event().wait(0.6)
    assert work.loop().drain()[0] == 2
    assert work.asked_late == []


def test_there_is_never_a_third_claim(work):
    work.claims = [(["a"], True), (["b"], True), (["c"], True)]

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            work.late = [["late"]]
            wait_for(lambda: len(work.held.all()) == 3)
            threading.Event().wait(0.6)
            assert job_names(work.held.all()) == ["a", "b", "late"]

    work.engine.during = during
    assert work.loop().drain()[0] == 4
    assert work.ran == {"a": "A of 1", "b": "B of 2", "late": "LATE of 2", "c": "C of 1"}


def test_who_may_join_does_so_before_another_claim_is_made(work):
    """The first claim has ended, and something else holds the device."""
    work.claims = [(["a"], True), (["b"], True)]
    order = []

    def before(name):
        if name == "b":
            wait_for(lambda: job_names(work.held.all()) == ["b"])
            with work.processor.turn.taken():
                work.late = [["late"]]
                work.claims = [(["c"], True)]
                wait_for(lambda: len(work.held.all()) == 3)
                order.extend(job_names(work.held.all()))

    work.before = before
    work.engine.during = lambda tasks, _p: (
        wait_for(lambda: len(work.held.all()) == 2) if tasks[0] == "a" else None
    )
    assert work.loop().drain()[0] == 4
    assert order == ["b", "late", "c"]
    assert sorted(work.ran) == ["a", "b", "c", "late"]


def test_what_others_took_in_the_meantime_joins_nothing(work):
    work.claims = [(["a"], True), (["b"], True)]

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            work.late = [[]]
            wait_for(lambda: not work.late)

    work.engine.during = during
    assert work.loop().drain()[0] == 2
    assert work.ran == {"a": "A of 1", "b": "B of 1"}


def test_a_claim_ends_with_the_last_one_that_joined_it(work):
    """Until then another claim would be a third one, and the worker must not be done."""
    work.claims = [(["a"], True), (["b"], True)]
    go, order = threading.Event(), []

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            work.late = [["late"]]
            wait_for(lambda: "late" in job_names(work.held.all()))
        else:
            order.append(sorted(tasks))
            threading.Timer(0.5, go.set).start()

    def after(name):
        if name == "late":
            wait_for(lambda: "b" in work.ran)
            assert go.wait(10)

    work.before = lambda name: wait_for(lambda: order) if name == "late" else None
    work.engine.during, work.after = during, after
    assert work.loop().drain()[0] == 3
    assert work.ran == {"a": "A of 1", "b": "B of 1", "late": "LATE of 1"}
    assert len(work.turns._times_s) == 2
    assert work.turns._times_s[1] >= 0.5
    assert work.held.all() == ()


def test_a_late_job_that_breaks_or_gets_no_thread_holds_up_nobody(work, monkeypatch):
    work.claims = [(["a"], True), (["b"], True)]
    start = threading.Thread.start

    def start_some(thread):
        if thread.name == "job-threadless":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)

    def during(tasks, _progress):
        if tasks[0] == "a":
            wait_for(lambda: len(work.held.all()) == 2)
            work.late = [["broken", "threadless", "c"]]
            wait_for(lambda: job_names(work.held.all()) == ["a", "b", "c"] and not work.late)
            wait_for(lambda: work.held.all()[2].is_waiting)

    work.engine.during = during
    assert work.loop().drain()[0] == 5
    assert work.ran == {"a": "A of 1", "b": "B of 2", "c": "C of 2"}
    assert work.held.all() == ()
