"""Server-sent events through the app, with and without Redis."""

from __future__ import annotations

import json
import threading
import time

import pytest
import redis

from backend.jobs.states import EventType
from backend.web import job_feed
from tests.web.conftest import wait_for


def messages(text):
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            document = json.loads(lines["data"])
            assert lines["id"] == document["id"]
            assert lines["event"] == document["type"]
            found.append(document)
    return found


def read(server, job, **headers):
    answer = server.client.get(job["links"]["events"], headers=headers)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    found = messages(answer.text)
    answer.close()
    assert server.app.extensions["meshkiln.live"].count == 0
    return found


def test_an_ended_job_is_a_snapshot_and_an_end(server, small_png):
    job = server.submit(small_png)
    server.client.post(job["links"]["cancel"])
    first, last = read(server, job)
    assert (first["type"], first["data"]["job"]["id"], first["v"]) == ("snapshot", job["id"], 1)
    assert (last["type"], last["data"]) == ("end", {"status": "canceled"})


def test_numbers_that_start_anew_are_told_as_a_gap(live_server, small_png):
    """A Redis that died and lost the stream counts from one again."""
    job = live_server.submit(small_png)
    service = live_server.service
    feed = job_feed.JobFeed(service, job["id"], None, threading.Event())
    with feed:
        for _ in range(2):
            service.events.publish(job["id"], EventType.PROGRESS, {"progress": 5})
        told = [feed.get(5) for _ in range(3)]
        service.events.client.delete(f"ev:{job['id']}", f"ev:{job['id']}:seq")
        time.sleep(0.01)  # ids are milliseconds: the next one must be a later one
        service.events.publish(job["id"], EventType.PROGRESS, {"progress": 0})
        gap, again = feed.get(5), feed.get(5)
    assert [event.type for event in told] == ["snapshot", "progress", "progress"]
    assert (gap.type, again.type, again.seq) == ("gap", "progress", 1)
    assert gap.data["job"]["id"] == job["id"]
    assert gap.id == again.id


def test_a_listener_keeps_its_place_while_redis_is_away(live_server, small_png, monkeypatch):
    """With the start of the stream as its place it would be told everything again."""
    job = live_server.submit(small_png)
    events = live_server.service.events
    events.publish(job["id"], EventType.PROGRESS, {"progress": 5})
    seen = events.last_id(job["id"])
    monkeypatch.setattr(job_feed, "LOOK_AT_ROW_S", 0.0)

    def away(*_args, **_options):
        raise redis.ConnectionError

    feed = job_feed.JobFeed(live_server.service, job["id"], seen, threading.Event())
    with feed:
        assert feed.get(5).id == seen
        for name in ("xrange", "xrevrange"):
            monkeypatch.setattr(events.client, name, away)
        live_server.service.store.rename(job["id"], "renamed")
        told = feed.get(5)
        again = job_feed.JobFeed(live_server.service, job["id"], seen, threading.Event())
    assert (told.type, told.id) == ("snapshot", seen)
    assert told.data["job"]["name"] == "renamed"
    first = again.get(0.1)
    assert (first.type, first.id) == ("snapshot", seen)


def test_live_events_in_order_until_the_end(live_server, small_png):
    job = live_server.submit(small_png)

    def work():
        live = live_server.app.extensions["meshkiln.live"]
        wait_for(lambda: live.count == 1)
        time.sleep(0.2)
        for step in range(5):
            live_server.service.events.publish(job["id"], EventType.PROGRESS, {"progress": step})
        live_server.client.post(job["links"]["cancel"])

    thread = threading.Thread(target=work)
    thread.start()
    found = read(live_server, job)
    thread.join()
    assert [one["type"] for one in found] == ["snapshot", *["progress"] * 5, "state", "end"]
    numbers = [one["seq"] for one in found[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + 7))


def test_last_event_id_replays_what_was_missed(live_server, small_png):
    job = live_server.submit(small_png)
    events = live_server.service.events
    for step in range(3):
        events.publish(job["id"], EventType.PROGRESS, {"progress": step})
    seen = events.read_after(job["id"], "0-0")[1].id
    live_server.client.post(job["links"]["cancel"])
    found = read(live_server, job, **{"Last-Event-ID": seen})
    assert [one["type"] for one in found] == ["snapshot", "progress", "progress", "state", "end"]
    assert found[0]["id"] == seen


def test_a_trimmed_id_is_answered_with_a_gap(live_server, small_png):
    job = live_server.submit(small_png)
    events = live_server.service.events
    for step in range(5):
        events.publish(job["id"], EventType.PROGRESS, {"progress": step})
    first = events.read_after(job["id"], "0-0")[0].id
    events.client.xtrim(f"ev:{job['id']}", maxlen=1, approximate=False)
    live_server.client.post(job["links"]["cancel"])
    found = read(live_server, job, **{"Last-Event-ID": first})
    assert [one["type"] for one in found] == ["snapshot", "gap", "end"]
    assert found[1]["data"]["job"]["status"] == "canceled"


@pytest.mark.parametrize("text", ["x", "1-1-1", "-", "9" * 60, "1-é"])
def test_a_foreign_id_counts_as_none(server, small_png, text):
    job = server.submit(small_png)
    server.client.post(job["links"]["cancel"])
    answer = server.client.get(job["links"]["events"], query_string={"last_event_id": text})
    assert [one["type"] for one in messages(answer.text)] == ["snapshot", "end"]
    answer.close()


def test_without_redis_the_row_tells_the_end(server, small_png, monkeypatch):
    monkeypatch.setattr(job_feed, "LOOK_AT_ROW_S", 0.2)
    job = server.submit(small_png)
    timer = threading.Timer(0.5, lambda: server.service.cancel(job["id"]))
    timer.start()
    found = read(server, job)
    timer.join()
    assert found[0]["data"]["job"]["status"] == "queued"
    assert [one["type"] for one in found][-2:] == ["snapshot", "end"]
    assert found[-2]["data"]["job"]["status"] == "canceled"


def test_deleted_while_watched_is_an_end(server, small_png, monkeypatch):
    monkeypatch.setattr(job_feed, "LOOK_AT_ROW_S", 0.2)
    job = server.submit(small_png)
    timer = threading.Timer(0.4, lambda: server.service.delete(job["id"]))
    timer.start()
    assert read(server, job)[-1]["type"] == "end"
    timer.join()


def test_unknown_job_gives_its_place_back(server):
    assert server.client.get("/api/v1/jobs/" + "0" * 26 + "/events").status_code == 404
    assert server.app.extensions["meshkiln.live"].count == 0


def test_too_many_streams(make_server, small_png):
    server = make_server(max_sockets=1)
    job = server.submit(small_png)
    give_back = server.app.extensions["meshkiln.live"].open("1.2.3.4")
    answer = server.client.get(job["links"]["events"])
    assert (answer.status_code, answer.json["code"]) == (503, "too-many-sockets")
    assert answer.headers["Retry-After"]
    assert server.client.get(job["links"]["self"]).status_code == 200  # polling still works
    give_back()
    give_back()
    assert server.app.extensions["meshkiln.live"].count == 0


def test_head_holds_no_place(server, small_png):
    job = server.submit(small_png)
    server.client.head(job["links"]["events"]).close()
    assert server.app.extensions["meshkiln.live"].count == 0
