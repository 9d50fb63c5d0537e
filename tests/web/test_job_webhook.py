"""What the page of a job tells of its webhook."""

from __future__ import annotations

import re

import pytest

from backend.jobs.webhooks.deliveries import Outcome
from tests.outbound.peers import PUBLIC, Wire

URL = "https://hook.example/in?token=secret"


@pytest.fixture
def hooked(server, monkeypatch):
    wire = Wire()
    wire.names["hook.example"] = [[PUBLIC]]
    monkeypatch.setattr(server.service.webhooks, "_client", wire.client())
    return server


def told(server, job_id):
    page = server.client.get(f"/jobs/{job_id}").text
    found = re.search(r'<p class="small" id="its-webhook"(.*?)>(.*?)</p>', page, re.S)
    return found and (" ".join(found[2].split()), "hx-get" in found[1])


def test_a_job_without_a_webhook_tells_of_none(server, small_png):
    assert told(server, server.submit(small_png)["id"]) is None


@pytest.mark.parametrize(
    ("outcome", "words", "moves"),
    [
        (Outcome(204), "Webhook to hook.example: delivered", False),
        (Outcome(410, "The receiver answered 410."),
         "Webhook to hook.example: the receiver wants no more of them. The receiver answered 410.",
         False),
        (Outcome(500, "The receiver answered 500."), None, True),
    ],
)  # fmt: skip
def test_a_job_tells_how_its_webhook_goes(hooked, small_png, outcome, words, moves):
    job = hooked.submit(small_png, webhook_url=URL)
    assert told(hooked, job["id"]) == ("Webhook to hook.example: sent when the job ends", True)
    hooked.finish(hooked.claim(), {"model.glb": b"glTF"})
    deliveries = hooked.service.webhooks.deliveries
    deliveries.report(deliveries.take(), outcome)
    text, does_move = told(hooked, job["id"])
    assert does_move is moves
    if words is None:
        when = r"next attempt at [-0-9]{10} \d\d:\d\d UTC"
        assert re.fullmatch(rf"Webhook to \S+: {when}\. The receiver answered 500\.", text)
    else:
        assert text == words
    assert "token=secret" not in hooked.client.get(f"/jobs/{job['id']}").text
