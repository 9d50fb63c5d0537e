from __future__ import annotations

from sqlalchemy import update

from backend.jobs.batches.tables import BatchItemRow, BatchKeyRow
from backend.jobs.retention import Retention
from backend.jobs.webhooks.table import WebhookRow, WebhookState
from tests.jobs.test_batches import claim, create


def sweep(service):
    Retention(service.settings, service.store, service.artefacts).sweep()


def end_all(service, batch):
    """Let its jobs end, and name those that were made."""
    jobs = [item.job_id for item in service.batches.items(batch.id) if item.job_id]
    for job in claim(service, len(jobs)):
        assert service.claims.finish(job, [], {})
    return jobs


def ids(service):
    return [batch.id for batch in service.batches.page().items]


def rows(service, table):
    with service.store.engine.connect() as connection:
        return list(connection.execute(table.__table__.select()))


def test_a_batch_goes_with_the_last_of_its_jobs(service):
    batch = create(service, "a", "bad", "c", idempotency_key="k1", body_sha256="0" * 64)
    first, last = end_all(service, batch)
    service.delete(first)
    sweep(service)
    assert ids(service) == [batch.id], "one of its jobs is still there"
    service.delete(last)
    sweep(service)
    assert ids(service) == []
    assert rows(service, BatchItemRow) == rows(service, BatchKeyRow) == []
    again = create(service, "a", idempotency_key="k1", body_sha256="0" * 64)
    assert ids(service) == [again.id], "the key is free again"


def test_batches_that_wait_run_or_have_expired_stay(service, clock):
    waiting, ended = create(service, "a"), create(service, "b")
    end_all(service, waiting)
    sweep(service)
    clock.forward(days=8)
    sweep(service)
    assert sorted(ids(service)) == sorted([waiting.id, ended.id])
    assert service.batches.get(ended.id).counts.queued == 1


def test_a_batch_whose_end_is_still_to_be_told_stays_until_it_is(service):
    batch = create(service, "a", webhook_url="https://example.org/end")
    (job,) = end_all(service, batch)
    service.delete(job)
    sweep(service)
    assert ids(service) == [batch.id]
    told = update(WebhookRow).values(state=WebhookState.DELIVERED.value)
    with service.store.writer.begin() as connection:
        connection.execute(told)
    sweep(service)
    assert ids(service) == []
