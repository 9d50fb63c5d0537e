from __future__ import annotations

import contextlib
import threading

import pytest

from backend.errors import JobFinished, NoForeground
from backend.jobs.claims import Choice, Claims
from backend.jobs.owners import Owner
from backend.jobs.records import OutputRecord
from backend.jobs.states import JobState, Priority, StageState

ME = str(Owner.this_process())
ELSEWHERE = "another-machine:1:1"
DEAD = f"{Owner.this_process().host}:1:12345"
OUTPUT = OutputRecord("model.glb", "glb", "model", 3, "0" * 64)


@pytest.fixture
def claims(store):
    return Claims(store, lease_s=60)


def test_highest_priority_and_oldest_first(store, claims, new_job):
    low, _ = store.submit(new_job(priority=Priority.LOW))
    first, _ = store.submit(new_job())
    second, _ = store.submit(new_job())
    high, _ = store.submit(new_job(priority=Priority.HIGH))
    order = [claims.claim("gpu", ME)[0].id for _ in range(4)]
    assert order == [high.id, first.id, second.id, low.id]
    assert claims.claim("gpu", ME) == []


def test_a_batch_takes_only_jobs_of_the_same_key(store, claims, new_job):
    a, _ = store.submit(new_job(batch_key="a"))
    store.submit(new_job(batch_key="b"))
    c, _ = store.submit(new_job(batch_key="a"))
    assert [job.id for job in claims.claim("gpu", ME, max_n=4)] == [a.id, c.id]


def test_a_batch_is_no_larger_than_asked_for(store, claims, new_job):
    jobs = [store.submit(new_job())[0] for _ in range(5)]
    assert [job.id for job in claims.claim("gpu", ME, max_n=3)] == [job.id for job in jobs[:3]]
    assert len(claims.claim("gpu", ME, max_n=3)) == 2


def test_a_choice_takes_only_what_was_chosen(store, claims, new_job):
    store.submit(new_job(batch_key="a"))
    b, _ = store.submit(new_job(batch_key="b"))
    assert [job.id for job in claims.claim("gpu", ME, 4, Choice("b"))] == [b.id]
    assert claims.claim("gpu", ME, 4, Choice("b")) == [], "others were faster"
    assert claims.claim("gpu", ME, 4, Choice("a", is_retry=True)) == []


def test_after_a_crash_the_jobs_of_a_batch_run_alone(store, claims, new_job):
    jobs = [store.submit(new_job())[0] for _ in range(3)]
    assert len(claims.claim("gpu", DEAD, max_n=3)) == 3
    claims.release_lost()
    fresh, _ = store.submit(new_job())
    taken = [[job.id for job in claims.claim("gpu", ME, max_n=4)] for _ in range(4)]
    assert taken == [[job.id] for job in jobs] + [[fresh.id]]


def test_a_fresh_batch_leaves_out_jobs_whose_worker_died(store, claims, new_job):
    first = new_job(priority=Priority.LOW)
    store.submit(first)
    claims.claim("gpu", DEAD)
    claims.release_lost()
    fresh = [store.submit(new_job())[0].id for _ in range(2)]
    assert [job.id for job in claims.claim("gpu", ME, max_n=4)] == fresh
    chosen = claims.claim("gpu", ME, 4, Choice("b", is_retry=True))
    assert [job.id for job in chosen] == [first.id]


def test_a_poison_job_costs_its_siblings_nothing(store, claims, new_job):
    """Three deaths of the poison job; its siblings still have all of their attempts."""
    poison, *siblings = [store.submit(new_job())[0] for _ in range(3)]
    claims.claim("gpu", DEAD, max_n=3)
    claims.release_lost()
    for _ in range(3):
        (held,) = claims.claim("gpu", DEAD, max_n=4)
        assert held.id == poison.id
        claims.release_lost()
    assert store.get(poison.id).error["code"] == "worker-lost"
    for sibling in siblings:
        left = store.get(sibling.id)
        assert left.status is JobState.QUEUED
        assert left.max_attempts - left.attempt == 3


def test_an_attempt_is_given_back_once_only(store, claims, new_job):
    job, _ = store.submit(new_job())
    store.submit(new_job())
    claims.claim("gpu", DEAD, max_n=2)
    claims.release_lost()
    for _ in range(2):  # held together although they should not be
        claims.claim("gpu", DEAD)
    claims.release_lost()
    assert store.get(job.id).max_attempts == 4


def test_the_only_job_of_a_dead_worker_loses_its_attempt(store, claims, new_job):
    job, _ = store.submit(new_job())
    claims.claim("gpu", DEAD)
    claims.release_lost()
    assert store.get(job.id).max_attempts == 3


def test_a_job_handed_back_may_run_again_at_once_and_alone(store, claims, new_job):
    job, _ = store.submit(new_job())
    store.submit(new_job())
    held, _ = claims.claim("gpu", ME, max_n=2)
    assert claims.hand_back(held)
    assert not claims.hand_back(held), "it is no longer this worker's"
    assert not claims.finish(held, [OUTPUT], {})
    waits = store.get(job.id)
    assert (waits.status, waits.max_attempts - waits.attempt) == (JobState.QUEUED, 3)
    assert [one.id for one in claims.claim("gpu", ME, max_n=4)] == [job.id]


def test_a_canceled_job_handed_back_is_canceled(store, claims, new_job):
    job, _ = store.submit(new_job())
    (held,) = claims.claim("gpu", ME)
    store.request_cancel(job.id)
    assert claims.hand_back(held)
    assert store.get(job.id).status is JobState.CANCELED


def test_parallel_batches_never_share_a_job(store, claims, new_job):
    for number in range(40):
        key = "ab"[number % 2]
        store.submit(new_job(batch_key=key, params={"key": key}))
    taken = []

    def work(owner):
        while jobs := claims.claim("gpu", owner, max_n=3):
            assert len({job.params["key"] for job in jobs}) == 1
            taken.extend(job.id for job in jobs)

    threads = [threading.Thread(target=work, args=(f"m:{i}:1",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


def test_queues_are_apart(store, claims, new_job):
    store.submit(new_job(queue="cpu"))
    assert claims.claim("gpu", ME) == []
    assert len(claims.claim("cpu", ME)) == 1


def test_parallel_workers_never_share_a_job(store, claims, new_job):
    for _ in range(24):
        store.submit(new_job())
    taken = []

    def work(owner):
        while jobs := claims.claim("gpu", owner):
            taken.extend(job.id for job in jobs)

    threads = [threading.Thread(target=work, args=(f"m:{i}:1",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 24


def test_finished_job_has_its_outputs_and_facts(store, claims, new_job):
    job, _ = store.submit(new_job())
    (held,) = claims.claim("gpu", ME)
    assert claims.update_stage(held, "mesh_export", 50, {"status": "running", "step": 1})
    assert store.get(job.id).stage == "mesh_export"
    assert claims.finish(held, [OUTPUT], {"mesh": {"closed": True}})
    done = store.get(job.id)
    assert (done.status, done.progress, done.outputs) == (JobState.SUCCEEDED, 100.0, (OUTPUT,))
    assert done.facts == {"mesh": {"closed": True}}
    assert done.finished_at


def test_progress_never_falls_within_an_attempt(store, claims, new_job):
    job, _ = store.submit(new_job())
    (held,) = claims.claim("gpu", ME)
    for progress in (30, 20, 40):
        claims.update_stage(held, "mesh_export", progress, {})
    assert store.get(job.id).progress == 40


def test_a_worker_that_lost_its_lease_changes_nothing(store, claims, new_job, clock):
    job, _ = store.submit(new_job())
    (stale,) = claims.claim("gpu", ELSEWHERE)
    clock.forward(seconds=61)
    assert [r.status for r in claims.release_lost()] == [JobState.QUEUED]
    (held,) = claims.claim("gpu", ME)
    assert held.attempt == 2
    assert claims.is_stopped(stale)
    assert not claims.finish(stale, [OUTPUT], {})
    assert not claims.fail(stale, NoForeground())
    assert not claims.update_stage(stale, "mesh_export", 90, {})
    assert claims.finish(held, [OUTPUT], {})
    assert store.get(job.id).attempt == 2


def test_same_owner_twice_is_told_apart_by_the_attempt(store, claims, new_job, clock):
    store.submit(new_job())
    (stale,) = claims.claim("gpu", ELSEWHERE)
    clock.forward(seconds=61)
    claims.release_lost()
    claims.claim("gpu", ELSEWHERE)
    assert not claims.finish(stale, [OUTPUT], {})


def test_renewed_lease_holds(store, claims, new_job, clock):
    store.submit(new_job())
    (held,) = claims.claim("gpu", ELSEWHERE)
    for _ in range(5):
        clock.forward(seconds=50)
        assert claims.renew(held)
    assert claims.release_lost() == []


def test_only_the_job_that_runs_is_renewed(store, claims, new_job, clock):
    store.submit(new_job())
    (forgotten,) = claims.claim("gpu", ELSEWHERE)
    store.submit(new_job())
    (held,) = claims.claim("gpu", ELSEWHERE)
    clock.forward(seconds=50)
    assert claims.renew(held)
    clock.forward(seconds=20)
    assert [job.job_id for job in claims.release_lost()] == [forgotten.id]
    assert not claims.renew(forgotten)


def test_job_of_a_dead_process_is_free_at_once(store, claims, new_job):
    store.submit(new_job())
    claims.claim("gpu", DEAD)
    assert [r.status for r in claims.release_lost()] == [JobState.QUEUED]


def test_job_of_a_living_process_is_left_alone(store, claims, new_job):
    store.submit(new_job())
    claims.claim("gpu", ME)
    assert claims.release_lost() == []


def test_last_attempt_ends_as_worker_lost(store, claims, new_job):
    job, _ = store.submit(new_job())
    for _ in range(3):
        claims.claim("gpu", DEAD)
        claims.release_lost()
    failed = store.get(job.id)
    assert failed.status is JobState.FAILED
    assert failed.error["code"] == "worker-lost"
    assert failed.attempt == 3


def test_cancel_while_running_then_worker_agrees(store, claims, new_job):
    job, _ = store.submit(new_job())
    (held,) = claims.claim("gpu", ME)
    claims.update_stage(held, "mesh_export", 50, {"status": "running"})
    assert store.request_cancel(job.id).status is JobState.CANCELING
    assert claims.is_stopped(held)
    assert claims.mark_canceled(held)
    ended = store.get(job.id)
    assert ended.status is JobState.CANCELED
    assert ended.stages[1].status is StageState.CANCELED


def test_cancel_of_a_job_whose_worker_died_ends_canceled(store, claims, new_job):
    job, _ = store.submit(new_job())
    claims.claim("gpu", DEAD)
    store.request_cancel(job.id)
    claims.release_lost()
    assert store.get(job.id).status is JobState.CANCELED


def test_cancel_racing_with_the_end_leaves_one_terminal_state(store, claims, new_job):
    for _ in range(10):
        job, _ = store.submit(new_job())
        (held,) = claims.claim("gpu", ME)
        results = {}
        together = threading.Barrier(2)

        def finish(held=held, results=results, together=together):
            together.wait()
            results["finished"] = claims.finish(held, [OUTPUT], {})

        thread = threading.Thread(target=finish)
        thread.start()
        together.wait()
        with contextlib.suppress(JobFinished):
            store.request_cancel(job.id)
        thread.join()
        assert results["finished"]
        assert store.get(job.id).status is JobState.SUCCEEDED


def test_overdue_cancels_name_their_owner(store, claims, new_job, clock):
    job, _ = store.submit(new_job())
    claims.claim("gpu", ELSEWHERE)
    store.request_cancel(job.id)
    assert claims.overdue_cancels(15) == []
    clock.forward(seconds=16)
    assert [str(owner) for owner in claims.overdue_cancels(15)] == [ELSEWHERE]


def test_eta_is_a_range_after_three_runs_and_none_before(store, claims, new_job):
    def run(seconds):
        store.submit(new_job())
        (held,) = claims.claim("gpu", ME)
        claims.update_stage(held, "mesh_export", 100, {"elapsed_s": seconds})
        claims.finish(held, [OUTPUT], {})

    run(2.0)
    run(3.0)
    job, _ = store.submit(new_job())
    assert store.get(job.id).eta is None
    store.request_cancel(job.id)
    run(5.0)
    first, _ = store.submit(new_job())
    second, _ = store.submit(new_job())
    eta, later = store.get(first.id).eta, store.get(second.id).eta
    assert (eta.low_s, eta.high_s) == (2.0, 5.0)
    assert (later.low_s, later.high_s) == (4.0, 10.0), "the one ahead counts"
    stages = {s.stage: s for s in store.history.stage_statistics()}
    assert stages["mesh_export"].p50_s == 3.0
    assert stages["mesh_export"].runs == 3


@pytest.mark.parametrize(("batch", "expected_s"), [(1, 50.0), (4, 20.0)])
def test_the_eta_of_a_waiting_job_knows_that_those_ahead_run_as_batches(
    store, claims, new_job, clock, batch, expected_s
):
    """Four are ahead, each took 10 s lately: one by one 40 s, in batches of four 10 s."""
    for _ in range(8):
        store.submit(new_job())
    while held := claims.claim("gpu", ME, max_n=batch):
        clock.forward(seconds=10)
        for job in held:
            claims.update_stage(job, "mesh_export", 100, {"elapsed_s": 10.0})
            claims.finish(job, [OUTPUT], {})
        clock.forward(seconds=600)  # idle time is no work
    waiting = [store.submit(new_job())[0] for _ in range(5)]
    eta = store.get(waiting[-1].id).eta
    assert (eta.low_s, eta.high_s) == pytest.approx((expected_s, expected_s), abs=0.05)
    assert store.get(waiting[0].id).eta.high_s == 10.0
