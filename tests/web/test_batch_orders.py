from __future__ import annotations

import pytest

from backend.errors import OutOfMemory
from tests.web.batch_requests import URL, accepted, job_of


def test_pause_resume_and_cancel(server, small_png):
    links = accepted(server, small_png)["links"]
    server.claim()
    paused = server.client.post(links["pause"])
    assert (paused.status_code, paused.json["status"]) == (202, "paused")
    assert server.service.claims.claim("gpu", "t:1:1") == []
    assert server.client.post(links["resume"]).json["status"] == "running"
    canceled = server.client.post(links["cancel"])
    assert (canceled.status_code, canceled.json["status"]) == (202, "canceling")
    assert [item["status"] for item in canceled.json["items"]] == ["canceling", "canceled"]


def test_orders_that_come_too_late(server, small_png):
    links = accepted(server, small_png, "a.png")["links"]
    server.finish(server.claim(), {"model.glb": b"x"})
    for verb in ("cancel", "pause"):
        answer = server.client.post(links[verb])
        assert (answer.status_code, answer.json["code"]) == (409, "batch-finished")
    answer = server.client.post(links["retry_failed"])
    assert (answer.status_code, answer.json["code"]) == (409, "nothing-failed")


def test_failed_items_run_again(server, small_png):
    batch = accepted(server, small_png)
    assert server.service.claims.fail(server.claim(), OutOfMemory())
    answer = server.client.post(batch["links"]["retry_failed"])
    assert (answer.status_code, answer.json["counts"]["queued"]) == (202, 2)
    item = answer.json["items"][0]
    assert item["job_id"] != batch["items"][0]["job_id"]
    assert job_of(server, item)["retry_of"] == batch["items"][0]["job_id"]


@pytest.mark.parametrize("verb", ["", "/results", "/archive", "/manifest"])
def test_unknown_batches(server, verb):
    for batch_id in ("0" * 26, "x", "..%2fx"):
        answer = server.client.get(f"{URL}/{batch_id}{verb}")
        assert (answer.status_code, answer.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry-failed"])
def test_orders_to_unknown_batches(server, verb):
    assert server.client.post(f"{URL}/{'0' * 26}/{verb}").status_code == 404
