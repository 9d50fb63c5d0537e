"""Which ends are told, to whom, and what is kept with a job or batch."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.errors import (
    EmptyFile,
    JobNotFinished,
    NotFound,
    QueueFull,
    UrlNotAllowed,
    UrlUnreachable,
)
from backend.jobs.retention import Retention
from backend.jobs.webhooks.table import WebhookRow, webhook_row
from backend.units import new_id
from examples.receive_webhook import is_genuine
from tests.jobs.webhooks.receivers import BROKEN, GONE, OK
from tests.outbound.peers import PUBLIC, Wire


def test_the_end_of_a_job_is_told_once_and_signed(service, hooked, submit, end, receiver, clock):
    found = receiver(OK)
    hooks = hooked(found)
    job = submit(found.url)
    assert not hooks.courier.carry_next()  # it has not ended
    end()
    assert hooks.courier.carry_next()
    headers, body = found.message()
    assert headers["Content-Type"] == "application/json"
    assert found.requests[0].startswith(b"POST /hook HTTP/1.1")
    message = json.loads(body)
    assert message["type"] == "job.succeeded"
    assert message["data"]["id"] == job.id
    assert message["data"]["status"] == "succeeded"
    assert message["timestamp"] == message["data"]["finished_at"]
    (secret,) = hooks.secret_file.secrets()
    sent_s = int(headers["webhook-timestamp"])
    assert abs(sent_s - clock.now().timestamp()) < 2
    assert is_genuine(secret, headers, body, sent_s)
    shown = hooks.document(job.id)
    assert headers["webhook-id"] == shown["id"]
    assert (shown["state"], shown["attempts"], shown["last_status"]) == ("delivered", 1, 204)
    assert shown["next_at"] is None
    assert shown["delivered_at"]
    clock.forward(days=3)
    assert not hooks.courier.carry_next()
    assert len(found.requests) == 1


@pytest.mark.parametrize(("how", "kind"), [("fail", "job.failed"), ("cancel", "job.canceled")])
def test_other_ends_are_told_as_such(service, hooked, submit, end, receiver, how, kind):
    found = receiver(OK)
    hooks = hooked(found)
    job = submit(found.url)
    if how == "fail":
        end(EmptyFile())
    else:
        service.cancel(job.id)
    hooks.courier.carry_next()
    message = json.loads(found.message()[1])
    assert message["type"] == kind
    assert (message["data"]["error"] is not None) == (how == "fail")


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://site.example/", UrlNotAllowed), ("https://127.0.0.1/", UrlNotAllowed),
     ("https://lan.example/", UrlNotAllowed), ("https://site.example:22/", UrlNotAllowed),
     ("ftp://site.example/", UrlNotAllowed), ("https://unknown.example/", UrlUnreachable)],
)  # fmt: skip
def test_addresses_are_checked_before_a_job_is_taken(hooked, url, error):
    wire = Wire()
    wire.names |= {"site.example": [[PUBLIC]], "lan.example": [["192.168.1.5"]]}

    def resolve(host, port, within_s):
        if host not in wire.names:
            raise UrlUnreachable(f"There is no host {host}.")
        return wire.resolve(host, port, within_s)

    hooks = hooked(client=wire.client())
    hooks._client._resolve = resolve
    hooks.check("https://site.example/hook?key=1")
    with pytest.raises(error) as caught:
        hooks.check(url)
    assert caught.value.fields[0].pointer == "/webhook_url"
    assert "MESHKILN_WEBHOOK_HOSTS" in caught.value.advice
    assert wire.connected == []


def rows(service) -> int:
    with service.store.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(WebhookRow))


def test_a_job_and_its_webhook_are_stored_together_or_not_at_all(service, submit, monkeypatch):
    monkeypatch.setattr(service.store, "_max_queued_jobs", 1)
    submit("https://site.example/hook")
    assert rows(service) == 1
    with pytest.raises(QueueFull):
        submit("https://site.example/hook")
    assert rows(service) == 1


def test_a_repeated_submit_makes_no_second_webhook(service, submit):
    for _ in range(2):
        submit("https://site.example/hook", idempotency_key="k", body_sha256="b")
    assert rows(service) == 1


def test_a_deleted_job_is_not_told_and_takes_its_webhook_along(
    service, hooked, submit, end, receiver
):
    found = receiver(OK)
    hooks = hooked(found)
    job = submit(found.url)
    end()
    service.delete(job.id)
    assert not hooks.courier.carry_next()
    Retention(service.settings, service.store, service.artefacts).sweep()
    assert rows(service) == 0


def test_an_expired_job_is_told_as_the_success_it_was(
    service, hooked, submit, end, receiver, clock
):
    found = receiver(BROKEN, OK)
    hooks = hooked(found)
    submit(found.url)
    end()
    hooks.courier.carry_next()
    clock.forward(days=8)
    Retention(service.settings, service.store, service.artefacts).sweep()
    assert hooks.courier.carry_next()
    message = json.loads(found.message()[1])
    assert (message["type"], message["data"]["status"]) == ("job.succeeded", "expired")


def test_a_batch_is_told_when_none_of_its_jobs_is_left(
    service, hooked, submit, end, receiver, clock
):
    found = receiver(OK)
    batch_id = new_id(clock.now())
    hooks = hooked(found, describe_batch=lambda wanted: {"id": wanted, "counts": {"total": 2}})
    for _ in range(2):
        submit(None, batch_id=batch_id)
    now = clock.now()
    with Session(service.store.writer) as session, session.begin():
        session.add(webhook_row(new_id(now), found.url, now, batch_id=batch_id))
    assert not hooks.courier.carry_next()
    end()
    assert not hooks.courier.carry_next()
    end(EmptyFile())
    assert hooks.courier.carry_next()
    message = json.loads(found.message()[1])
    assert message["type"] == "batch.finished"
    assert message["data"] == {"id": batch_id, "counts": {"total": 2}}
    sweep = Retention(service.settings, service.store, service.artefacts).sweep
    clock.forward(days=29)
    sweep()
    assert rows(service) == 1
    clock.forward(days=2)
    sweep()
    assert rows(service) == 0


def test_a_retry_tells_the_same_receiver(service, hooked, submit, end, receiver):
    found = receiver(OK)
    hooks = hooked(found)
    old = submit(found.url)
    end(EmptyFile())
    new = service.retry(old.id)
    assert hooks.document(new.id)["url"] == found.url
    assert hooks.document(new.id)["id"] != hooks.document(old.id)["id"]
    end()
    while hooks.courier.carry_next():
        pass
    assert [json.loads(found.message(n)[1])["type"] for n in (0, 1)] == [
        "job.failed", "job.succeeded",
    ]  # fmt: skip


def test_telling_it_once_more(service, hooked, submit, end, receiver):
    found = receiver(GONE, OK)
    hooks = hooked(found)
    job = submit(found.url)
    with pytest.raises(JobNotFinished):
        hooks.send_again(job.id)
    end()
    hooks.courier.carry_next()
    assert hooks.document(job.id)["state"] == "disabled"
    shown = hooks.send_again(job.id)
    assert (shown["state"], shown["attempts"]) == ("pending", 0)
    assert hooks.courier.carry_next()
    assert hooks.document(job.id)["state"] == "delivered"
    assert found.message(0)[0]["webhook-id"] == found.message(1)[0]["webhook-id"]
    other = submit(None)
    with pytest.raises(NotFound):
        hooks.document(other.id)
