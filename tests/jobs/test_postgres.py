"""What only PostgreSQL brings: writers side by side. All of tests/jobs runs there too, with
MESHKILN_TEST_DATABASE=postgresql."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from backend.errors import JobFinished, NotFound, StartFailed
from backend.jobs.claims import Claims
from backend.jobs.records import OutputRecord
from backend.jobs.schema import JobRow, open_database
from backend.jobs.states import JobState
from backend.jobs.store import JobStore
from backend.jobs.tuning_store import TuningStore
from tests.databases import HAS_POSTGRES, another_writer, postgres_url

pytestmark = pytest.mark.skipif(not HAS_POSTGRES, reason="PostgreSQL or psycopg is missing")

WORKERS = 6
OUTPUT = OutputRecord("model.glb", "glb", "model", 5_000_000_000, "0" * 64)


@pytest.fixture
def url(tmp_path):
    return postgres_url(tmp_path)


@pytest.fixture
def store(url, clock):
    made = JobStore(url, clock, max_queued_jobs=500)
    yield made
    made.close()


@pytest.fixture
def claims(store):
    return Claims(store, lease_s=60)


def at_once(count, act):
    """Call ``act(number)`` from many threads at the same moment."""
    together = threading.Barrier(count)

    def run(number):
        together.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_an_ended_job_cannot_be_revived_whoever_writes(store, new_job):
    job, _ = store.submit(new_job())
    store.request_cancel(job.id)
    with pytest.raises(IntegrityError, match="has ended"), store.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'running'"))
    with store.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'expired'"))
    assert store.get(job.id).status is JobState.EXPIRED


def test_many_processes_may_start_at_once(url):
    engines = at_once(WORKERS, lambda _: open_database(url))
    assert inspect(engines[0]).has_table("jobs")
    for engine in engines:
        engine.dispose()


def test_workers_side_by_side_never_take_the_same_job(store, claims, new_job):
    jobs = {store.submit(new_job())[0].id for _ in range(60)}

    def work(number):
        taken = []
        while held := claims.claim("gpu", f"host{number}:1:1", max_n=2):
            taken += [job.id for job in held]
        return taken

    taken = [job_id for part in at_once(WORKERS, work) for job_id in part]
    assert len(taken) == len(set(taken))
    # a row that another had locked at that moment may have been passed over: it still waits
    rest = {job.id for job in claims.claim("gpu", "host:1:1", max_n=60)}
    assert set(taken) | rest == jobs


def test_a_claim_does_not_wait_for_anothers_row(store, claims, new_job):
    first, _ = store.submit(new_job())
    second, _ = store.submit(new_job())
    with store.writer.begin() as connection:
        connection.execute(select(JobRow.id).where(JobRow.id == first.id).with_for_update())
        (held,) = claims.claim("gpu", "host:1:1")
    assert held.id == second.id


def test_one_key_at_once_makes_one_job(store, new_job):
    new = [new_job(idempotency_key="k", body_sha256="b") for _ in range(20)]
    answers = at_once(20, lambda number: store.submit(new[number]))
    assert len({job.id for job, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1


@pytest.mark.parametrize("repeat", range(10))
def test_a_job_is_not_both_canceled_and_run(store, claims, new_job, repeat):
    job, _ = store.submit(new_job())
    _, held = at_once(
        2, lambda n: store.request_cancel(job.id) if n == 0 else claims.claim("gpu", "host:1:1")
    )
    if held:
        assert store.get(job.id).status is JobState.CANCELING
        assert claims.mark_canceled(held[0])
    assert store.get(job.id).status is JobState.CANCELED


@pytest.mark.parametrize("repeat", range(10))
def test_cancel_and_end_at_once_leave_one_end(store, claims, new_job, repeat):
    job, _ = store.submit(new_job())
    (held,) = claims.claim("gpu", "host:1:1")

    def act(number):
        if number == 0:
            return claims.finish(held, [OUTPUT], {})
        try:
            return store.request_cancel(job.id)
        except JobFinished:
            return None

    finished, _ = at_once(2, act)
    assert finished
    assert store.get(job.id).status is JobState.SUCCEEDED
    assert store.get(job.id).outputs[0].bytes == 5_000_000_000


def test_two_janitors_release_a_lost_job_once(store, claims, new_job, clock):
    for _ in range(8):
        store.submit(new_job())
        claims.claim("gpu", "gone:1:1")
    clock.forward(minutes=5)
    released = at_once(4, lambda _: claims.release_lost())
    assert sorted(len(part) for part in released)[-1] <= 8
    assert sum(len(part) for part in released) == 8


def test_whoever_wants_the_tuning_tables_waits_no_longer_than_agreed(store, clock):
    tuning = TuningStore(store.engine, clock, {"export_threads": 1})
    tuning.set("export_threads", 2)
    with another_writer(store):
        assert tuning.values() == {"export_threads": 2}, "looking waits for nobody"
        with pytest.raises(OperationalError):
            tuning._tables.write(lambda connection: None, patience_ms=100)
    tuning.set("export_threads", 3)
    assert tuning.values() == {"export_threads": 3}


def test_an_id_with_nul_is_unknown_like_any_other(store):
    with pytest.raises(NotFound):
        store.get("\0")


def test_a_missing_driver_is_said_clearly():
    with pytest.raises(StartFailed, match="driver pg8000") as caught:
        open_database("postgresql+pg8000://nobody@localhost/x")
    assert "requirements-postgres.txt" in caught.value.advice
