"""What a listener of a device gets: history first, then what is new, by feed, socket and API."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_socket

from backend.jobs.redis_url import connect
from backend.jobs.sample_writer import SampleWriter
from backend.units import SystemClock
from backend.web.gpu_feed import GpuFeed
from tests.web.conftest import gunicorn, wait_for

KEY = "GPU-1"


def write(client, *readings, key=KEY):
    """Write readings of a card as its worker would; each tells its memory in use."""
    writer = SampleWriter(client, f"kiln:{key}:1", SystemClock(), lambda: ("job1", "shape"))
    for used_mb in readings:
        device = {"uuid": key, "name": "Scripted Card", "vram_used_mb": used_mb}
        writer._offered_s = None
        writer.offer({"devices": [device]})
        assert writer.write_waiting() == 1


def now_s():
    return SystemClock().now().timestamp()


def used(message):
    return {
        device["key"]: [row[device["columns"].index("vram_used_mb")] for row in device["rows"]]
        for device in message["devices"]
    }


@pytest.fixture
def client(redis_address):
    made = connect(redis_address)
    made.flushdb()
    yield made
    made.close()


@pytest.fixture
def stopping():
    return threading.Event()


@pytest.fixture
def follow(client, stopping):
    return lambda last_id=None: GpuFeed(client, SystemClock(), last_id, stopping)


def test_history_first_then_each_new_reading_once(client, follow):
    write(client, 100, 200)
    feed = follow()
    first = feed.get(1)
    assert (first["type"], used(first)) == ("history", {KEY: [100, 200]})
    assert feed.get(0) is None
    write(client, 300)
    second = feed.get(2)
    assert (second["type"], used(second)) == ("rows", {KEY: [300]})
    assert feed.get(0) is None


def test_history_is_sent_even_when_there_is_none_yet(client, follow):
    feed = follow()
    first = feed.get(1)
    assert (first["type"], first["devices"]) == ("history", [])
    assert abs(first["now_s"] - now_s()) < 5


def test_a_new_card_is_found_while_somebody_listens(client, follow, monkeypatch):
    monkeypatch.setattr("backend.web.gpu_feed.LOOK_FOR_STREAMS_S", 0.1)
    feed = follow()
    feed.get(1)
    write(client, 100, key="GPU-2")
    assert used(feed.get(3)) == {"GPU-2": [100]}


def test_after_a_break_only_what_was_missed_follows(client, follow):
    write(client, 100)
    last_id = follow().get(1)["last_id"]
    time.sleep(0.01)
    write(client, 200)
    resumed = follow(last_id).get(1)
    assert resumed["type"] == "rows"
    assert used(resumed)[KEY][-1] == 200
    assert len(used(resumed)[KEY]) <= 2  # what came at the last id follows once more


@pytest.mark.parametrize("last_id", ["", "x", "1-0", "9" * 60 + "-0", "99999999999999-0"])
def test_an_id_that_is_none_or_too_old_means_the_whole_window(client, follow, last_id):
    write(client, 100)
    message = follow(last_id).get(1)
    assert (message["type"], used(message)) == ("history", {KEY: [100]})


def test_what_is_older_than_the_window_is_not_sent(client, follow):
    write(client, 100)
    (stream,) = client.keys("mk:samples:*")
    ((_, fields),) = client.xrange(stream)
    client.delete(stream)
    client.xadd(stream, fields, id=f"{int(1000 * (now_s() - 700))}-0")
    client.xadd(stream, fields, id=f"{int(1000 * (now_s() - 500))}-0")
    assert used(follow().get(1)) == {KEY: [100]}


def test_an_outage_of_redis_is_silence_and_the_end_is_noticed(stopping):
    feed = GpuFeed(connect("redis://127.0.0.1:1/0"), SystemClock(), None, stopping)
    assert feed.get(0.1)["devices"] == []
    threading.Timer(0.2, stopping.set).start()
    started_s = time.monotonic()
    assert feed.get(5) is None
    assert time.monotonic() - started_s < 2
    assert feed.interrupted


def test_api_tells_the_window_that_is_asked_for(live_server):
    live_server.service.events.client.flushdb()
    write(live_server.service.events.client, 100, 200)
    answer = live_server.client.get("/api/gpu/history?window_s=60").json
    assert used(answer) == {KEY: [100, 200]}
    (device,) = answer["devices"]
    assert (device["name"], device["kind"]) == ("Scripted Card", "gpu")
    assert all(len(row) == len(device["columns"]) for row in device["rows"])
    time.sleep(0.3)
    assert live_server.client.get("/api/gpu/history?window_s=0.2").json == {"devices": []}


@pytest.mark.parametrize("window", ["0", "-1", "3601", "nan", "inf", "x", ""])
def test_api_refuses_a_window_that_is_none(server, window):
    answer = server.client.get(f"/api/gpu/history?window_s={window}")
    assert answer.status_code == 422
    assert "window_s" in answer.text


def test_api_without_redis_tells_no_device(server):
    assert server.client.get("/api/gpu/history").json == {"devices": []}


@pytest.fixture(scope="module")
def web(tmp_path_factory, redis_address):
    folder = tmp_path_factory.mktemp("web") / "data"
    values = {"max_sockets": 10, "max_sockets_per_ip": 6, "web_threads": 30}
    with gunicorn(folder, redis_address, **values) as made:
        yield made


def join(web):
    """Open a socket as soon as a place is free: one that was left is noticed within a second."""

    def admitted():
        with contextlib.suppress(InvalidStatus):
            return connect_socket(f"{web.ws}/ws/gpu")
        return None

    return wait_for(admitted)


@pytest.mark.server
def test_socket_sends_history_and_then_new_readings(web, client):
    write(client, 100)
    with join(web) as listener:
        first = json.loads(listener.recv(timeout=5))
        assert (first["type"], used(first)) == ("history", {KEY: [100]})
        write(client, 200)
        assert used(json.loads(listener.recv(timeout=5))) == {KEY: [200]}


@pytest.mark.server
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Cookie": "mk_csrf=x"}, {"Origin": "null"}]
)
def test_socket_of_another_site_is_refused(web, headers):
    with pytest.raises(InvalidStatus) as refused:
        connect_socket(f"{web.ws}/ws/gpu", additional_headers=headers)
    assert refused.value.response.status_code == 403


@pytest.mark.server
def test_sockets_share_the_limit_with_those_of_jobs_and_give_their_places_back(web):
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(join(web))
        with pytest.raises(InvalidStatus) as refused:
            connect_socket(f"{web.ws}/ws/jobs/{'0' * 26}")
        assert refused.value.response.status_code == 503
        assert requests.get(f"{web.http}/api/gpu/history", timeout=5).status_code == 200
    with join(web) as listener:
        assert json.loads(listener.recv(timeout=5))["type"] == "history"


@pytest.mark.server
def test_a_flood_is_closed_with_1008(web):
    """Sent past the client's library, which gives up reading as soon as it cannot send."""
    hello = b"\x81\x85" + bytes(4) + b"hello"
    with join(web) as listener:
        with contextlib.suppress(OSError):
            for _ in range(3000):
                listener.socket.sendall(hello)
        with contextlib.suppress(ConnectionClosed):
            while True:
                listener.recv(timeout=10)
        assert listener.protocol.close_code == 1008


@pytest.mark.server
def test_stopping_closes_with_1012_and_soon(tmp_path, redis_address):
    with gunicorn(tmp_path / "data", redis_address, web_threads=8) as stopping_web:
        with connect_socket(f"{stopping_web.ws}/ws/gpu") as listener:
            listener.recv(timeout=5)
            started_s = time.monotonic()
            stopping_web.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionClosed):
                while True:
                    listener.recv(timeout=10)
            assert listener.protocol.close_code == 1012
        stopping_web.process.wait(timeout=10)
        assert time.monotonic() - started_s < 5
