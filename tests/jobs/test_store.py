from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.errors import (
    IdempotencyKeyReused,
    InvalidParameter,
    JobFinished,
    NotFound,
    QueueFull,
)
from backend.jobs.states import JobState, Priority
from backend.jobs.store import JobFilter, JobStore


def test_submitted_job_waits_with_its_place_in_the_line(store, new_job):
    first, is_new = store.submit(new_job())
    second, _ = store.submit(new_job())
    urgent, _ = store.submit(new_job(priority=Priority.HIGH))
    assert is_new
    assert first.status is JobState.QUEUED
    places = [store.get(job.id).queue_position for job in (urgent, first, second)]
    assert places == [1, 2, 3]


def test_job_survives_a_new_store_on_the_same_file(store, new_job):
    job, _ = store.submit(new_job(params={"seed": 2**63 - 1}))
    again = JobStore(str(store.engine.url))
    assert again.get(job.id).params == {"seed": 2**63 - 1}
    again.close()


def test_same_key_and_body_give_the_same_job(store, new_job):
    fields = {"idempotency_key": "k", "body_sha256": "h"}
    job, _ = store.submit(new_job(**fields))
    again, is_new = store.submit(new_job(**fields))
    assert (again.id, is_new) == (job.id, False)


def test_same_key_with_another_body_is_refused(store, new_job):
    store.submit(new_job(idempotency_key="k", body_sha256="h"))
    with pytest.raises(IdempotencyKeyReused):
        store.submit(new_job(idempotency_key="k", body_sha256="other"))


def test_a_key_is_forgotten_after_a_day(store, new_job, clock):
    store.submit(new_job(idempotency_key="k", body_sha256="h"))
    clock.forward(hours=25)
    _, is_new = store.submit(new_job(idempotency_key="k", body_sha256="other"))
    assert is_new
    clock.forward(hours=25)
    assert store.forget_old_keys() == 1


def test_twenty_parallel_submits_with_one_key_make_one_job(store, new_job):
    jobs = [new_job(idempotency_key="k", body_sha256="h") for _ in range(20)]
    together = threading.Barrier(20)
    seen = []

    def submit(new):
        together.wait()
        seen.append(store.submit(new)[0].id)

    threads = [threading.Thread(target=submit, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 20
    assert len(set(seen)) == 1
    assert len(store.list().items) == 1


def test_full_queue_is_refused_with_a_time_to_come_back(store, new_job):
    for _ in range(50):
        store.submit(new_job())
    with pytest.raises(QueueFull) as caught:
        store.submit(new_job())
    assert caught.value.retry_after_s > 0


def test_pages_hold_every_job_once_newest_first(store, new_job):
    made = [store.submit(new_job())[0].id for _ in range(7)]
    seen, cursor = [], None
    while True:
        page = store.list(JobFilter(limit=3, cursor=cursor))
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        store.submit(new_job())  # arrivals do not disturb the pages
    assert seen == made[::-1]


def test_list_filters_by_state_pipeline_and_name(store, new_job):
    store.submit(new_job(name="Red chair"))
    hidden, _ = store.submit(new_job(name="chair cut", pipeline="cut_out", listed=False))
    canceled, _ = store.submit(new_job(name="100% wool"))
    store.request_cancel(canceled.id)
    names = lambda **f: [job.name for job in store.list(JobFilter(**f)).items]  # noqa: E731
    assert names(query="CHAIR") == ["Red chair"]
    assert names(query="0%") == ["100% wool"]
    assert names(query="%") == ["100% wool"]
    assert names(status=JobState.QUEUED) == ["Red chair"]
    assert names(pipeline="cut_out", listed_only=False) == [hidden.name]
    assert store.counts()[JobState.CANCELED] == 1


@pytest.mark.parametrize("cursor", ["x", "AAAA", "WzFd", "é"])
def test_foreign_cursor_is_refused(store, cursor):
    with pytest.raises(InvalidParameter):
        store.list(JobFilter(cursor=cursor))


def test_waiting_job_is_canceled_at_once_and_only_once(store, new_job):
    job, _ = store.submit(new_job())
    assert store.request_cancel(job.id).status is JobState.CANCELED
    with pytest.raises(JobFinished):
        store.request_cancel(job.id)


def test_deleted_job_is_gone_for_its_user(store, new_job):
    job, _ = store.submit(new_job())
    assert store.hide(job.id) is JobState.CANCELED
    with pytest.raises(NotFound):
        store.get(job.id)
    assert store.list().items == []
    assert store.waiting_queues() == []


def test_the_database_itself_refuses_to_revive_an_ended_job(store, new_job):
    job, _ = store.submit(new_job())
    store.request_cancel(job.id)
    with pytest.raises(IntegrityError), store.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'running'"))


def test_renaming_changes_the_version(store, new_job):
    job, _ = store.submit(new_job())
    renamed = store.rename(job.id, "chair")
    assert renamed.name == "chair"
    assert renamed.version > job.version
