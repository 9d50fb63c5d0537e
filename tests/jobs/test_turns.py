"""Whose turn it is, with a clock that is moved by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from backend.jobs.turns import Turns
from backend.jobs.waiting_work import WaitingKind

START = datetime(2026, 11, 21, tzinfo=UTC)


class Queue:
    """Jobs by group with the second they came in; a worker takes one after the other."""

    def __init__(self, turns: Turns, job_s: float) -> None:
        self.turns = turns
        self.job_s = job_s
        self.now_s = 0.0
        self.jobs: list[tuple[float, int, str]] = []
        self.ran: list[tuple[float, float, str]] = []

    def add(self, group: str, at_s: float = 0.0, count: int = 1) -> None:
        for _ in range(count):
            self.jobs.append((at_s, len(self.jobs), group))

    def take(self) -> str | None:
        now = START + timedelta(seconds=self.now_s)
        kind = self.turns.choose(self._kinds(), now)
        if kind is None:
            return None
        self.turns.took(kind, now)
        job = min(j for j in self.jobs if j[2] == kind.group and j[0] <= self.now_s)
        self.jobs.remove(job)
        self.ran.append((job[0], self.now_s, kind.group))
        self.now_s += self.job_s
        self.turns.lasted(self.job_s)
        return kind.group

    def _kinds(self) -> list[WaitingKind]:
        kinds = []
        for group in {job[2] for job in self.jobs}:
            here = sorted(j for j in self.jobs if j[2] == group and j[0] <= self.now_s)
            if here:
                first, last = (START + timedelta(seconds=one[0]) for one in (here[0], here[-1]))
                number = f"{here[0][1]:06}"
                kinds.append(WaitingKind(group, "p", group, False, len(here), number, first, last))
        return sorted(kinds, key=lambda kind: kind.oldest_id)


@pytest.fixture
def queue():
    return Queue(Turns(least_turn_s=30), job_s=5)


def switches(ran: list[str]) -> int:
    return sum(a != b for a, b in itertools.pairwise(ran))


def test_the_oldest_comes_first(queue):
    queue.add("b")
    queue.add("a")
    assert [queue.take(), queue.take(), queue.take()] == ["b", "a", None]


def test_jobs_of_one_model_run_after_each_other(queue):
    for _ in range(3):
        queue.add("a")
        queue.add("b")
    assert [queue.take() for _ in range(6)] == ["a", "a", "a", "b", "b", "b"]


def test_a_group_is_passed_over_for_a_turn_at_most(queue):
    queue.add("a", count=100)
    queue.add("b")
    ran = [queue.take() for _ in range(8)]
    assert ran == ["a"] * 6 + ["b", "a"], "30 s of jobs of 5 s, then the one that waits"


def test_turns_of_a_busy_queue_change_after_a_turn_not_after_each_job(queue):
    queue.add("a", count=60)
    queue.add("b", count=60)
    ran = [queue.take() for _ in range(48)]
    assert ran == (["a"] * 6 + ["b"] * 6) * 4


def test_a_turn_is_twice_what_a_claim_usually_takes():
    queue = Queue(Turns(least_turn_s=30), job_s=60)
    queue.add("a", count=20)
    queue.add("b", count=20)
    ran = [queue.take() for _ in range(12)]
    assert queue.turns.turn == timedelta(seconds=120)
    assert switches(ran) <= 6, "two jobs of a minute for each turn"
    assert ran.count("b") >= 4


def test_nobody_starves_however_many_come_in(queue):
    """One group gets more jobs than can be done; others come in now and then."""
    queue.add("busy", count=400)
    for second in range(0, 1000, 50):
        queue.add("rare", at_s=second)
        queue.add("other", at_s=second + 7)
    for _ in range(300):
        queue.take()
    bound_s = 2 * (30 + queue.job_s) + queue.job_s
    waits = [at_s - came_s for came_s, at_s, group in queue.ran if group != "busy"]
    assert len(waits) == 40
    assert max(waits) <= bound_s
    assert sum(group == "busy" for _, _, group in queue.ran) >= 250


def test_what_was_chosen_but_not_taken_changes_nothing(queue):
    queue.add("a")
    queue.add("b")
    now = START
    first = queue.turns.choose(queue._kinds(), now)
    assert queue.turns.choose(queue._kinds(), now) == first


def test_each_of_many_groups_has_a_whole_turn(queue):
    """All others are due by then; models would move after each job if that were enough."""
    for group in "abc":
        queue.add(group, count=30)
    ran = [queue.take() for _ in range(36)]
    assert ran == (["a"] * 6 + ["b"] * 6 + ["c"] * 6) * 2


def test_whoever_comes_in_late_waits_a_turn_however_long_this_one_has_lasted(queue):
    """Else a trickle of other work would move the models with each job."""
    queue.add("a", count=60)
    for at_s in (100, 101, 117):
        queue.add("b", at_s=at_s)
    ran = [queue.take() for _ in range(40)]
    assert ran[:26] == ["a"] * 26
    assert ran[26:29] == ["b"] * 3, "30 s after the first of them"
