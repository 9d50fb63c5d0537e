"""Rows 39, 40 and 42 of the abuse table: clients that are slow, silent or too many."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

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
