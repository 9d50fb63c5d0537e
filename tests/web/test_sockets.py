"""Sockets against a real gunicorn: Flask's test client cannot upgrade."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import threading
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from backend.jobs.states import EventType
from backend.web.app import create_app
from tests.web.conftest import gunicorn, wait_for

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def web(tmp_path_factory, redis_address):
    folder = tmp_path_factory.mktemp("web") / "data"
    values = {"max_sockets": 20, "max_sockets_per_ip": 18, "web_threads": 60}
    with gunicorn(folder, redis_address, **values) as made:
        yield made


@pytest.fixture
def job(web, small_png):
    files = {"file": ("doll.png", small_png)}
    answer = requests.post(
        f"{web.http}/api/v1/jobs", files=files, data={"pipeline": "image_to_3d"}, timeout=10
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


def follow(web, job, query="", **options):
    return connect(f"{web.ws}{job['links']['socket']}{query}", max_size=None, **options)


def read_all(client):
    texts = []
    with contextlib.suppress(ConnectionClosed):
        texts.extend(client)
    found = [json.loads(text) if text.startswith("{") else text for text in texts]
    return found, client.protocol.close_code


def publish(web, job, count):
    for step in range(count):
        web.service.events.publish(job["id"], EventType.PROGRESS, {"progress": step})


def test_snapshot_then_live_then_1000(web, job):
    with follow(web, job) as client:
        first = json.loads(client.recv(timeout=5))
        assert (first["type"], first["data"]["job"]["status"]) == ("snapshot", "queued")
        publish(web, job, 3)
        requests.post(web.http + job["links"]["cancel"], timeout=5)
        found, code = read_all(client)
    assert [event["type"] for event in found] == ["progress"] * 3 + ["state", "end"]
    assert code == 1000


def test_resume_after_a_break(web, job):
    publish(web, job, 3)
    seen = web.service.events.read_after(job["id"], "0-0")[1].id
    web.service.cancel(job["id"])
    with follow(web, job, f"?last_event_id={seen}") as client:
        found, code = read_all(client)
    kinds = [event["type"] for event in found]
    assert kinds == ["snapshot", "progress", "progress", "state", "end"]
    assert code == 1000


def test_unknown_job_is_closed_with_4404(web):
    with connect(f"{web.ws}/ws/jobs/{'0' * 26}") as client:
        assert read_all(client) == ([], 4404)


def test_html_is_whole_and_at_most_four_times_a_second(web, job):
    with follow(web, job, "?format=html") as client:
        assert "job-live" in client.recv(timeout=5)
        started_s = time.monotonic()
        for step in range(30):
            web.service.events.publish(job["id"], EventType.PROGRESS, {"progress": step})
            time.sleep(0.02)
        web.service.cancel(job["id"])
        found, code = read_all(client)
        elapsed_s = time.monotonic() - started_s
    assert 1 <= len(found) <= 2 + elapsed_s / 0.25
    assert "job-live" in found[-1]
    assert code == 1000


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_row_35_foreign_origin_is_refused_before_the_upgrade(web, job, origin):
    with pytest.raises(InvalidStatus) as refused:
        follow(web, job, additional_headers={"Origin": origin})
    assert refused.value.response.status_code == 403


def test_row_35_cookie_without_origin_is_refused(web, job):
    with pytest.raises(InvalidStatus) as refused:
        follow(web, job, additional_headers={"Cookie": "mk_csrf=x"})
    assert refused.value.response.status_code == 403


def test_row_35_our_own_origin(web, job):
    headers = {"Origin": web.http, "Cookie": "mk_csrf=x"}
    with follow(web, job, additional_headers=headers) as client:
        assert json.loads(client.recv(timeout=5))["type"] == "snapshot"


def test_row_36_foreign_host(web, job):
    headers = {"Host": "evil.example"}
    answer = requests.get(web.http + job["links"]["self"], headers=headers, timeout=5)
    assert answer.status_code == 421


def test_row_39_a_large_message_is_closed_with_1009(web, job):
    with follow(web, job) as client:
        client.recv(timeout=5)
        with contextlib.suppress(ConnectionClosed):
            client.send("x" * (1 << 20))
        assert read_all(client)[1] in (1009, 1006)  # the close may be cut off by our own bytes


def test_row_39_a_flood_is_closed_with_1008(web, job):
    """Sent past the client's library, which gives up reading as soon as it cannot send."""
    hello = b"\x81\x85" + bytes(4) + b"hello"
    with follow(web, job) as client:
        client.recv(timeout=5)
        with contextlib.suppress(OSError):
            for _ in range(3000):
                client.socket.sendall(hello)
        assert read_all(client)[1] == 1008


def test_row_39_a_client_that_never_reads_frees_its_thread(web, job):
    address = ("127.0.0.1", web.port)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(address)
        raw.sendall(
            f"GET {job['links']['socket']} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in raw.recv(64)
        large = {"level": "info", "message": "m" * 200_000}
        for _ in range(40):
            web.service.events.publish(job["id"], EventType.LOG, large)
        ended = f'"path": "{job["links"]["socket"]}"'  # a socket is logged when it is over
        wait_for(lambda: ended in web.log.read_text(), timeout_s=9)


def test_row_40_over_the_cap_polling_still_works(web, job):
    with contextlib.ExitStack() as stack:
        for _ in range(18):  # the limit of one address
            stack.enter_context(follow(web, job))
        with pytest.raises(InvalidStatus) as refused:
            follow(web, job)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert requests.get(web.http + job["links"]["self"], timeout=5).status_code == 200
    wait_for(lambda: can_connect(web, job))


def can_connect(web, job):
    try:
        with follow(web, job):
            return True
    except InvalidStatus:
        return False


def test_a_bad_handshake_is_400(web, job):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    answer = requests.get(web.http + job["links"]["socket"], headers=headers, timeout=5)
    assert answer.status_code == 400
    plain = requests.get(web.http + job["links"]["socket"], timeout=5)
    assert plain.status_code == 400


def test_sse_over_the_wire(web, job):
    timer = threading.Timer(0.3, lambda: web.service.cancel(job["id"]))
    timer.start()
    with requests.get(web.http + job["links"]["events"], stream=True, timeout=10) as answer:
        lines = [line for line in answer.iter_lines(chunk_size=1, decode_unicode=True) if line]
    timer.join()
    kinds = [line.split(": ")[1] for line in lines if line.startswith("event:")]
    assert kinds == ["snapshot", "state", "end"]


def test_row_2_a_chunked_body_over_the_limit(tmp_path, redis_address, small_png):
    with gunicorn(tmp_path / "data", redis_address, max_upload_mb=1, web_threads=8) as small:

        def parts():
            for _ in range(48):
                yield bytes(1 << 16)

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        try:
            answer = requests.post(
                f"{small.http}/api/v1/jobs", data=parts(), headers=headers, timeout=10
            )
            assert answer.status_code == 413
        except requests.ConnectionError:
            pass  # cut off while we were still sending
        assert list(small.service.artefacts.job_ids()) == []


def test_row_45_log_lines_are_json(web, job):
    requests.get(f"{web.http}/x%0d%0aforged", headers={"User-Agent": "a b"}, timeout=5)
    lines = wait_for(lambda: [x for x in web.log.read_text().splitlines() if "forged" in x])
    assert len(lines) == 1
    assert json.loads(lines[0])["status"] == 404
    for line in web.log.read_text().splitlines():
        json.loads(line)


def test_stopping_closes_sockets_with_1012_and_soon(tmp_path, redis_address, small_png):
    with gunicorn(tmp_path / "data", redis_address, web_threads=8) as stopping:
        app = create_app(service=stopping.service)
        form = {"pipeline": "image_to_3d", "file": (io.BytesIO(small_png), "a.png")}
        job = app.test_client().post("/api/v1/jobs", data=form).json
        with follow(stopping, job) as client:
            client.recv(timeout=5)
            started_s = time.monotonic()
            stopping.process.send_signal(signal.SIGTERM)
            assert read_all(client)[1] == 1012
        stopping.process.wait(timeout=10)
        assert time.monotonic() - started_s < 5
