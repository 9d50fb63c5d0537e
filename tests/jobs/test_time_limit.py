from __future__ import annotations

from dataclasses import dataclass

import pytest

from backend.jobs.claims import ClaimedJob, Claims
from backend.jobs.held_jobs import HeldJob, HeldJobs
from backend.jobs.owners import Owner
from backend.jobs.records import OutputRecord
from backend.jobs.states import JobState
from backend.jobs.time_limit import UnwantedCalls, give_up, hand_all_back, over_time

ME = str(Owner.this_process())
OUTPUT = OutputRecord("model.glb", "glb", "model", 3, "0" * 64)


@dataclass
class Member:
    waited_s: float = 0.0
    is_waiting: bool = False


def held_job(name="a", *, started_s=0.0, size=1, member=None):
    job = ClaimedJob(name, "image_to_3d", {}, (), (), "me", 1)
    return HeldJob(job, None, started_s, size, member)


def test_waiting_for_others_does_not_count_as_working_too_long():
    late = held_job("late", member=Member(waited_s=95.0))
    waits = held_job("waits", member=Member(waited_s=0.0, is_waiting=True))
    stuck = held_job("stuck", member=Member(waited_s=5.0))
    over = over_time([late, waits, stuck, held_job("alone")], 100.0, 90.0)
    assert [held.job.id for held in over] == ["stuck", "alone"]


def test_a_batch_may_take_as_long_as_its_jobs_one_by_one():
    batch = [held_job(name, size=4, member=Member()) for name in "abcd"]
    assert over_time(batch, 359.0, 90.0) == []
    assert over_time(batch, 361.0, 90.0) == batch


@pytest.fixture
def claims(store):
    return Claims(store)


class Told:
    """The events that were published."""

    def __init__(self) -> None:
        self.events = []

    def publish(self, job_id, kind, data):
        self.events.append((job_id, kind.value, data["status"]))
        return True

    def of(self, held):
        return [(kind, status) for job_id, kind, status in self.events if job_id == held.job.id]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def batch(store, claims, new_job):
    """Three jobs of one claim."""
    for _ in range(3):
        store.submit(new_job())
    held = HeldJobs()
    held.add([HeldJob(job, None, 0.0, 3) for job in claims.claim("gpu", ME, max_n=3)])
    return held


def state(store, held):
    job = store.get(held.job.id)
    return job.status, job.max_attempts - job.attempt, (job.error or {}).get("code")


def test_only_the_job_that_is_stuck_is_failed(store, claims, told, batch):
    stuck, *siblings = batch.all()
    assert give_up(claims, told, batch, [stuck], 90)
    assert state(store, stuck)[::2] == (JobState.FAILED, "job-timed-out")
    assert [state(store, one) for one in siblings] == [(JobState.QUEUED, 3, None)] * 2
    assert told.of(stuck) == [("state", "failed"), ("end", "failed")]
    assert [told.of(one) for one in siblings] == [[("state", "queued")]] * 2
    assert len(claims.claim("gpu", ME, max_n=4)) == 1, "each runs alone now"


def test_of_several_in_one_call_none_is_blamed(store, claims, told, batch):
    assert give_up(claims, told, batch, batch.all()[:2], 90)
    assert [state(store, one) for one in batch.all()] == [(JobState.QUEUED, 3, None)] * 3


def test_alone_again_the_guilty_one_is_failed(store, claims, told, batch):
    assert give_up(claims, told, batch, batch.all(), 90)
    (job,) = claims.claim("gpu", ME, max_n=4)
    alone = HeldJobs()
    alone.add([HeldJob(job, None, 0.0)])
    assert give_up(claims, told, alone, alone.all(), 90)
    assert state(store, alone.first)[0] is JobState.FAILED


def test_a_job_that_has_just_ended_ends_nobody(store, claims, told, batch):
    done, sibling, _ = batch.all()
    claims.finish(done.job, [OUTPUT], {})
    batch.remove(done)
    assert not give_up(claims, told, batch, [done], 90)
    assert told.events == [], "who ended by itself has said so"
    assert state(store, done)[0] is JobState.SUCCEEDED
    assert state(store, sibling)[0] is JobState.RUNNING


def test_a_call_that_nobody_waits_for_may_last_no_longer_than_the_grace():
    calls, first, second = UnwantedCalls(15.0), object(), object()
    assert not calls.lasts(None, 0.0)
    assert not calls.lasts(first, 100.0)
    assert not calls.lasts(first, 114.9)
    assert not calls.lasts(second, 116.0), "another one has its own grace"
    assert not calls.lasts(None, 130.0)
    assert not calls.lasts(second, 132.0), "it was wanted in between"
    assert calls.lasts(second, 147.0)


def test_jobs_that_suffer_for_such_a_call_go_back_with_their_attempts(store, claims, told, batch):
    canceled = batch.first
    store.request_cancel(canceled.job.id)
    hand_all_back(claims, told, batch)
    states = [state(store, one)[0] for one in batch.all()]
    assert states == [JobState.CANCELED, JobState.QUEUED, JobState.QUEUED]
    assert [state(store, one)[1] for one in batch.all()[1:]] == [3, 3]
    assert told.of(canceled) == [("state", "canceled"), ("end", "canceled")]
    assert len(told.events) == 4
