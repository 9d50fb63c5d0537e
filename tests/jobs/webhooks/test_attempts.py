"""Row 30 of the abuse table: receivers that fail, hang, redirect, are gone or turn bad."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.jobs.service import JobService
from backend.jobs.webhooks.deliveries import RETRIES_AFTER, Deliveries, Outcome
from backend.jobs.webhooks.table import WebhookRow, webhook_row
from backend.units import new_id
from tests.jobs.conftest import wait_until
from tests.jobs.webhooks.receivers import BROKEN, GONE, OK
from tests.outbound.peers import PUBLIC, Wire, answer


def test_a_failure_is_tried_again_under_the_same_id(service, hooked, submit, end, receiver, clock):
    found = receiver(BROKEN, OK)
    hooks = hooked(found)
    job = submit(found.url)
    end()
    assert hooks.courier.carry_next()
    shown = hooks.document(job.id)
    assert (shown["state"], shown["attempts"], shown["last_status"]) == ("pending", 1, 500)
    assert "500" in shown["last_error"]
    clock.forward(seconds=4)
    assert not hooks.courier.carry_next()
    clock.forward(seconds=3)
    assert hooks.courier.carry_next()
    shown = hooks.document(job.id)
    assert (shown["state"], shown["attempts"], shown["last_error"]) == ("delivered", 2, None)
    first, second = found.message(0), found.message(1)
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[0]["webhook-timestamp"] != second[0]["webhook-timestamp"]
    assert first[1] == second[1]


@pytest.mark.parametrize(("jitter", "stretch"), [(0.0, 1.0), (1.0, 1.2)])
def test_retries_wait_longer_each_time_and_end(service, submit, end, clock, jitter, stretch):
    submit("https://site.example/hook")
    end()
    deliveries = Deliveries(service.store, lambda: jitter)
    waits = []
    for _ in range(20):
        made = deliveries.take()
        if made is None:
            break
        state = deliveries.report(made, Outcome(None, "no answer"))
        if state == "pending":
            with service.store.engine.connect() as connection:
                due = connection.scalar(select(WebhookRow.next_at))
            waits.append(due - clock.moment)
            clock.moment = due
    assert waits == [wait * stretch for wait in RETRIES_AFTER]
    assert state == "failed"
    assert made is None


def hang(connection):
    connection.recv(1)


def test_a_receiver_that_hangs_is_left_and_tried_again(service, hooked, submit, end, receiver):
    found = receiver(b"")
    found._script = hang
    hooks = hooked(found, deadline_s=0.4)
    job = submit(found.url)
    end()
    began_s = time.monotonic()
    assert hooks.courier.carry_next()
    assert time.monotonic() - began_s < 2
    shown = hooks.document(job.id)
    assert (shown["state"], shown["last_status"]) == ("pending", None)
    assert "did not answer within 0.4 s" in shown["last_error"]
    assert service.store.get(job.id).status == "succeeded"


def test_a_redirect_is_a_failure_and_not_followed(service, hooked, submit, end, receiver):
    goal = receiver(OK)
    found = receiver(answer(status="307 Go", Location=goal.url))
    hooks = hooked(found, goal)
    job = submit(found.url)
    end()
    hooks.courier.carry_next()
    assert goal.requests == []
    shown = hooks.document(job.id)
    assert (shown["state"], shown["last_status"]) == ("pending", 307)
    assert "not followed" in shown["last_error"]


def test_a_receiver_that_is_gone_gets_nothing_more(service, hooked, submit, end, receiver, clock):
    gone, fine = receiver(GONE), receiver(OK)
    hooks = hooked(gone, fine)
    jobs = [submit(gone.url), submit(gone.url), submit(fine.url), submit(gone.url)]
    with service.store.writer.begin() as connection:  # the last one is somebody else's
        connection.execute(
            update(WebhookRow).where(WebhookRow.job_id == jobs[3].id).values(key_id="other")
        )
    end()
    assert hooks.courier.carry_next()
    assert [hooks.document(job.id)["state"] for job in jobs] == [
        "disabled", "disabled", "pending", "pending",
    ]  # fmt: skip
    for _ in range(3):
        end()
    while hooks.courier.carry_next():
        pass
    assert len(gone.requests) == 2
    assert len(fine.requests) == 1
    clock.forward(days=2)
    assert not hooks.courier.carry_next()


def test_two_processes_never_carry_the_same_one(service, submit, end, tmp_path, clock):
    for number in range(12):
        submit(f"https://site{number}.example/hook")
        end()
    others = [JobService(service.settings, clock) for _ in range(3)]
    taken, start = [], threading.Barrier(4)

    def run(deliveries):
        start.wait()
        misses = 0
        while misses < 3:
            found = deliveries.take()
            if found:
                taken.append(found.id)
            misses = 0 if found else misses + 1

    threads = [
        threading.Thread(target=run, args=(Deliveries(one.store),)) for one in [service, *others]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert len(taken) == len(set(taken)) == 12


def test_what_a_dead_process_carried_is_carried_again(service, hooked, submit, end, clock):
    hooks = hooked()
    job = submit("https://site.example/hook")
    end()
    lost = hooks.deliveries.take()
    clock.forward(seconds=50)
    assert hooks.deliveries.take() is None
    clock.forward(seconds=15)
    second = hooks.deliveries.take()
    assert (second.id, second.attempt) == (lost.id, 2)
    assert hooks.deliveries.report(lost, Outcome(500, "late")) is None
    assert hooks.document(job.id)["last_status"] is None
    assert hooks.deliveries.report(second, Outcome(200)) == "delivered"


def test_an_address_is_judged_again_at_every_attempt(service, hooked, submit, end, clock):
    wire = Wire()
    wire.names["site.example"] = [[PUBLIC], ["127.0.0.1"]]
    hooks = hooked(client=wire.client())
    hooks.check("https://site.example/hook")
    job = submit("https://site.example/hook")
    end()
    hooks.courier.carry_next()
    assert wire.connected == []
    shown = hooks.document(job.id)
    assert (shown["state"], shown["last_status"]) == ("pending", None)
    assert "public internet" in shown["last_error"]
    assert service.store.get(job.id).status == "succeeded"


def test_a_receiver_that_hangs_holds_up_no_other(service, hooked, submit, end, receiver):
    """The courier's own threads, on the real time of the network."""
    stuck, fine = receiver(b""), receiver(OK)
    stuck._script = hang
    hooks = hooked(stuck, fine, deadline_s=8)
    for _ in range(6):
        submit(stuck.url)
        end()
    jobs = []
    for _ in range(12):
        jobs.append(submit(fine.url))
        end()
    hooks.courier.start()
    try:
        wait_until(lambda: len(fine.requests) == 12, timeout_s=6)
        wait_until(lambda: {hooks.document(job.id)["state"] for job in jobs} == {"delivered"})
        assert len(stuck.requests) == 1
    finally:
        hooks.courier.stop()
        stuck.close()


def test_a_message_that_cannot_be_written_is_a_failed_attempt(service, hooked, submit, end, clock):
    hooks = hooked()
    now = clock.now()
    with Session(service.store.writer) as session, session.begin():
        session.add(webhook_row(new_id(now), "https://site.example/", now, batch_id="nobatch"))
    assert hooks.courier.carry_next()
    with service.store.engine.connect() as connection:
        state, error = connection.execute(select(WebhookRow.state, WebhookRow.last_error)).one()
    assert (state, error) == ("pending", "There is no batch nobatch.")
