"""Batches of several keys on one server: whose they are, and what one leaves to the others."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from backend.errors import NotFound, OutOfMemory, QueueFull
from backend.jobs.access.api_key import ApiKey
from backend.jobs.access.tables import JobOwnerRow, StoredInputsRow
from backend.jobs.access.viewer import acting_as
from backend.jobs.batches.records import BatchState
from backend.jobs.batches.tables import BatchRow
from backend.jobs.service import JobService
from backend.jobs.webhooks.table import WebhookRow
from backend.settings import Settings
from tests.jobs.test_batches import claim, create, drafts, new_batch


@pytest.fixture
def small_queue(tmp_path, clock):
    made = JobService(
        Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1, max_queued_jobs=3), clock
    )
    yield made
    made.close()


def test_a_paused_batch_takes_nobodys_place_in_the_queue(small_queue):
    paused = create(small_queue, size=3)
    small_queue.batches.pause(paused.id)
    other = create(small_queue, size=3)
    assert other.counts.queued == 3
    with pytest.raises(QueueFull) as refused:
        small_queue.batches.pause(other.id)
    assert "hold back 6 jobs" in refused.value.detail
    assert small_queue.batches.get(other.id).state is BatchState.QUEUED
    small_queue.batches.cancel(paused.id)
    assert small_queue.batches.pause(other.id).state is BatchState.PAUSED


def test_a_retry_is_no_way_around_the_bound_of_paused_jobs(small_queue):
    failed = create(small_queue, size=3)
    for job in claim(small_queue, 3):
        small_queue.claims.fail(job, OutOfMemory("full"))
    with small_queue.store.writer.begin() as connection:
        connection.execute(update(BatchRow).where(BatchRow.id == failed.id).values(paused=True))
    small_queue.batches.pause(create(small_queue, size=3).id)
    before = set(small_queue.artefacts.job_ids())
    with pytest.raises(QueueFull):
        small_queue.batches.retry_failed(failed.id)
    assert small_queue.batches.get(failed.id).counts.failed == 3
    assert set(small_queue.artefacts.job_ids()) == before


@pytest.mark.parametrize("had_key", [True, False])
def test_what_an_administrator_tries_again_stays_its_owners(service, clock, had_key):
    ann, boss = (ApiKey(n * 26, n, n, clock.now(), is_admin=n == "b") for n in "ab")
    with acting_as(ann if had_key else None):
        batch = create(service, "x", webhook_url="https://hook.example/")
    service.claims.fail(claim(service)[0], OutOfMemory("full"))
    with acting_as(boss):
        service.batches.retry_failed(batch.id)
    job_id = service.batches.items(batch.id)[0].job_id
    with service.store.engine.connect() as connection:
        owners = select(JobOwnerRow.key_id).where(JobOwnerRow.job_id == job_id)
        told = select(WebhookRow.key_id).where(WebhookRow.batch_id == batch.id)
        assert list(connection.scalars(owners)) == ([ann.id] if had_key else [])
        assert set(connection.scalars(told)) == {ann.id if had_key else None}
    if had_key:
        with acting_as(ann):
            assert service.store.get(job_id).batch_id == batch.id


def test_pictures_of_batches_and_their_copies_count_as_stored(service):
    batch = create(service, "x")
    service.claims.fail(claim(service)[0], OutOfMemory("full"))
    service.batches.retry_failed(batch.id)
    with service.store.engine.connect() as connection:
        sizes = list(connection.scalars(select(StoredInputsRow.bytes)))
    job_id = service.batches.items(batch.id)[0].job_id
    kept = service.artefacts.input_path(job_id, service.store.get(job_id).inputs[0])
    assert sizes == [kept.stat().st_size] * 2


def test_a_batch_that_may_have_been_stored_keeps_its_files(service, monkeypatch):
    write = service.batches._writer.write

    def stored_but_not_told(*given):
        write(*given)
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    monkeypatch.setattr(service.batches._writer, "write", stored_but_not_told)
    with pytest.raises(OperationalError):
        create(service, size=2, idempotency_key="k", body_sha256="1")
    known = service.batches.find_known(new_batch(idempotency_key="k", body_sha256="1"))
    for item in service.batches.items(known.id):
        assert service.artefacts.input_path(item.job_id, "image.png") is not None


def test_what_an_administrator_does_to_another_keys_work_is_written_down(service, clock):
    ann, boss = (ApiKey(n * 26, n, n, clock.now(), is_admin=n == "b") for n in "ab")

    def work(batch):
        service.batches.pause(batch.id)
        service.batches.resume(batch.id)
        service.cancel(service.batches.items(batch.id)[0].job_id)
        service.batches.cancel(batch.id)

    with acting_as(ann):
        mine, other = create(service, size=2), create(service, size=2)
        work(mine)
    with acting_as(boss):
        work(other)
    noted = service.access.audit.entries()
    assert [(one.action, one.actor) for one in noted] == [
        (action, "b (b)")
        for action in ("batch.paused", "batch.resumed", "job.canceled", "batch.canceled")
    ]
    assert {one.detail["owner"] for one in noted} == {ann.id}


def test_batches_of_others_look_as_if_there_were_none(service, clock):
    ann, ben, admin = (
        ApiKey(name * 26, name, name, clock.now(), is_admin=name == "c") for name in "abc"
    )
    with acting_as(ann):
        batch = create(service, "x")
        assert service.batches.get(batch.id).id == batch.id
    with acting_as(ben):
        for ask in (
            service.batches.get, service.batches.document, service.batches.pause,
            service.batches.resume, service.batches.cancel, service.batches.retry_failed,
        ):  # fmt: skip
            with pytest.raises(NotFound):
                ask(batch.id)
        assert service.batches.page().items == []
        other = service.batches.create(
            new_batch(idempotency_key="k", body_sha256="1"), drafts(service, "y")
        )
        assert other[1]
    with acting_as(ann):
        mine = new_batch(idempotency_key="k", body_sha256="2")
        assert service.batches.find_known(mine) is None, "keys of others do not collide"
    with acting_as(admin):
        assert len(service.batches.page().items) == 2


def test_a_foreign_job_is_refused_by_the_same_questions_as_none(service, clock):
    """The time of the answer must not tell which of the two it was."""
    ann, ben = (ApiKey(n * 26, n, n, clock.now()) for n in "ab")
    with acting_as(ann):
        job_id = service.batches.items(create(service, "x").id)[0].job_id
    asked = []
    event.listen(
        service.store.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
    )

    def questions(wanted):
        asked.clear()
        with acting_as(ben), pytest.raises(NotFound):
            service.store.get(wanted)
        return list(asked)

    assert questions(job_id) == questions("0" * 26)
