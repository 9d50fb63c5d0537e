"""Rows 39, 40 and 42 of the abuse table: clients that are slow, silent or too many."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.web.conftest import gunicorn, wait_for

pytestmark = pytest.mark.server

SLOW = 40
HEAD = "POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
BODY = (
    "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
)


@pytest.fixture(scope="module")
def web(tmp_path_factory, redis_address):
    folder = tmp_path_factory.mktemp("web") / "data"
    values = {"max_sockets": 12, "max_sockets_per_ip": 64, "web_threads": 64}
    with gunicorn(folder, redis_address, **values) as made:
        yield made


@pytest.fixture
def job(web, small_png):
    answer = requests.post(
        f"{web.http}/api/v1/jobs",
        files={"file": ("doll.png", small_png)},
        data={"pipeline": "image_to_3d"},
        timeout=10,
    )
    return answer.json()


def slow_client(web, text):
    client = socket.create_connection(("127.0.0.1", web.port), timeout=5)
    client.sendall(text.format(port=web.port).encode())
    return client


def read_to_the_end(client):
    received = b""
    while part := client.recv(65536):
        received += part
    return received


@pytest.mark.parametrize("sent", [HEAD, HEAD + BODY], ids=["half a header", "half a body"])
def test_row_42_slow_uploads_hold_up_no_other_request(web, small_png, sent):
    before = len(list(web.service.artefacts.job_ids()))
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            client = stack.enter_context(slow_client(web, sent))
            client.sendall(b"X")  # and one more byte, as slowloris does
        for _ in range(3):
            started_s = time.monotonic()
            assert requests.get(f"{web.http}/healthz", timeout=5).status_code == 200
            answer = requests.post(
                f"{web.http}/api/v1/jobs",
                files={"file": ("doll.png", small_png)},
                data={"pipeline": "image_to_3d"},
                timeout=10,
            )
            assert answer.status_code == 202
            assert time.monotonic() - started_s < 3
    assert len(list(web.service.artefacts.job_ids())) == before + 3


def dribble(client, data, piece, every_s, until):
    """Send so many bytes so often, until all is sent or an answer begins; return the answer."""
    sent = 0
    while sent < len(data) and time.monotonic() < until:
        client.sendall(data[sent : sent + piece])
        sent += piece
        if select.select([client], [], [], every_s)[0]:
            break
    return read_to_the_end(client)


def test_row_42_a_dribbling_client_is_cut_and_a_slow_honest_one_served(web, small_png):
    """One byte every two seconds ends after 15 s; 20 kB/s never does."""
    upload = small_png + bytes(20_000 * 18)  # what follows a picture is thrown away
    honest = BODY.replace("100000", str(len(BODY.partition("\r\n\r\n")[2]) + len(upload) + 7))
    honest = "Connection: close\r\n" + honest
    start_s = time.monotonic()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as threads:
        clients = [
            stack.enter_context(slow_client(web, HEAD + more)) for more in ("", BODY, honest)
        ]
        for client in clients:
            client.settimeout(30)
        answers = [
            threads.submit(dribble, client, b"X" * 99, 1, 2, start_s + 28) for client in clients[:2]
        ]
        served = dribble(clients[2], upload + b"\r\n--b--", 10_000, 0.5, start_s + 28)
        for answer in answers:
            head, _, body = answer.result(timeout=30).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"Connection: close" in head
            assert json.loads(body)["code"] == "request-timeout"
    assert served.startswith(b"HTTP/1.1 202 ")
    assert time.monotonic() - start_s > 17
    assert web.process.poll() is None


def test_row_42_clients_that_do_not_hang_up_hold_up_no_other(web):
    """gunicorn's accepting thread would wait two seconds for each."""
    goodbye = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for client in [stack.enter_context(slow_client(web, goodbye)) for _ in range(6)]:
            assert b"200 OK" in read_to_the_end(client)
        started_s = time.monotonic()
        assert requests.get(f"{web.http}/healthz", timeout=20).status_code == 200
        assert time.monotonic() - started_s < 1


def test_row_40_over_the_cap_of_all_addresses_polling_still_works(web, job):
    address = web.ws + job["links"]["socket"]
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(connect(address)).recv(timeout=5)
        with pytest.raises(InvalidStatus) as refused:
            connect(address)
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) > 0
        assert requests.get(web.http + job["links"]["self"], timeout=5).status_code == 200
    wait_for(lambda: can_connect(address))


def can_connect(address):
    with contextlib.ExitStack() as stack:
        return opened(stack, address) is not None


def opened(stack, address):
    try:
        return stack.enter_context(connect(address))
    except InvalidStatus:
        return None


def silent_follower(web, path):
    """A client that takes what comes and never answers, as one whose cable was pulled."""
    upgrade = (
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    client = slow_client(web, upgrade.replace("{path}", path))
    if b"101" in client.recv(64):
        return client
    client.close()
    return None


def test_row_39_a_silent_client_is_cut_within_10_s_and_one_that_answers_stays(web, job):
    paths = [job["links"]["socket"], "/ws/gpu"]
    with contextlib.ExitStack() as stack:
        answering = wait_for(lambda: opened(stack, web.ws + paths[0]))
        before = len(web.log.read_text())
        silent = [
            stack.enter_context(wait_for(lambda path=path: silent_follower(web, path)))
            for path in paths
        ]
        ended = [f'"path": "{path}"' for path in paths]  # a socket is logged when it is over
        wait_for(lambda: all(e in web.log.read_text()[before:] for e in ended), timeout_s=10)
        for client in silent:
            received = read_to_the_end(client)
            assert b"\x03\xf3Ping/Pong timeout" in received  # 1011: a browser connects again
        assert answering.ping().wait(timeout=5)


def test_row_39_a_client_that_vanishes_gives_its_place_back(web, job):
    """A reset, as when a laptop is shut or its process killed."""
    address = web.ws + job["links"]["socket"]
    with contextlib.ExitStack() as stack:
        clients = [wait_for(lambda: opened(stack, address)) for _ in range(12)]
        assert not can_connect(address)
        for client in clients:
            client.recv(timeout=5)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: can_connect(address), timeout_s=10)
