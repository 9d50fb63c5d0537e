"""Rows 28 to 30 of the abuse table on the app: pictures and receivers that are addresses."""

from __future__ import annotations

import time

import pytest

from backend.errors import UrlUnreachable
from backend.jobs.webhooks.service import Webhooks
from backend.web import picture_fetch
from tests.outbound.peers import PUBLIC, Wire, answer, peer, says
from tests.outbound.test_addresses import REFUSED

URL = "https://site.example/pictures/My%20chair.png?size=2"
HTTP_URL = "http://site.example/pictures/My%20chair.png?size=2"
BODY = {"pipeline": "image_to_3d", "image_url": HTTP_URL}
API = "/api/v1/jobs"


@pytest.fixture
def wire():
    made = Wire()
    made.names["site.example"] = [[PUBLIC]]
    return made


@pytest.fixture
def fetching(make_server, wire):
    """A server that fetches, on a network of the test's own."""
    made = make_server(fetch_urls=True)
    made.service.outbound = wire.client()
    return made


@pytest.fixture
def no_connections(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def test_a_picture_is_fetched_and_goes_the_ordinary_way(fetching, wire, small_png):
    with peer(says(answer(small_png, Content_Type="text/html"))) as found:
        wire.peers[PUBLIC] = found.port
        made = fetching.client.post(API, json={**BODY, "params": {"preset": "draft"}})
    assert made.status_code == 202, made.text
    assert made.json["name"] == "My chair.png"
    assert wire.connected == [(PUBLIC, 80)]
    stored = fetching.service.artefacts.input_path(made.json["id"], "image.png")
    assert stored.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("row", REFUSED)
def test_row_28_no_connection_is_made_for_a_refused_address(
    make_server, no_connections, small_png, row
):
    server = make_server(fetch_urls=True)
    made = server.client.post(API, json={**BODY, "image_url": REFUSED[row]})
    expected = "url-not-allowed" if REFUSED[row] else "invalid-parameter"
    assert (made.status_code, made.json["code"]) == (422, expected), made.text
    assert made.json["errors"][0]["pointer"] == "/image_url"
    assert server.count() == 0


@pytest.mark.parametrize("row", [row for row, url in REFUSED.items() if url])
def test_row_30_nor_for_a_webhook(server, no_connections, small_png, row):
    made = server.post(small_png, webhook_url=REFUSED[row])
    assert made.status_code == 422
    assert made.json["code"] in ("url-not-allowed", "invalid-parameter")
    assert made.json["errors"][0]["pointer"] == "/webhook_url"
    assert server.count() == 0


def test_row_29_a_redirect_to_loopback(fetching, wire):
    with peer(says(answer(status="302 Found", Location="http://127.0.0.1:80/"))) as found:
        wire.peers[PUBLIC] = found.port
        made = fetching.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (422, "url-not-allowed")
    assert wire.connected == [(PUBLIC, 80)]


def test_row_29_rebinding(fetching, wire, small_png):
    wire.names["site.example"] = [[PUBLIC], ["127.0.0.1"]]
    with peer(says(answer(small_png))) as found:
        wire.peers[PUBLIC] = found.port
        assert fetching.client.post(API, json=BODY).status_code == 202
        made = fetching.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (422, "url-not-allowed")
    assert wire.connected == [(PUBLIC, 80)]


def test_row_29_an_endless_body(make_server, wire):
    server = make_server(fetch_urls=True, max_upload_mb=1)
    server.service.outbound = wire.client()
    endless = says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 100)
    with peer(endless) as found:
        wire.peers[PUBLIC] = found.port
        made = server.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (422, "url-unreachable")
    assert "longer" in made.json["detail"]
    assert server.count() == 0


def test_row_29_a_byte_a_second_is_cut_at_the_deadline(fetching, wire, monkeypatch):
    def drip(connection):
        for byte in answer(b"x" * 50):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    limits = picture_fetch.Limits
    monkeypatch.setattr(
        picture_fetch, "Limits", lambda size, redirects: limits(size, redirects, deadline_s=0.5)
    )
    began_s = time.monotonic()
    with peer(drip) as found:
        wire.peers[PUBLIC] = found.port
        made = fetching.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (422, "url-unreachable")
    assert time.monotonic() - began_s < 2
    assert limits().deadline_s == 10


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (answer(b"gone", status="404 Not Found"), 422, "url-unreachable"),
        (answer(b"<html>", Content_Type="image/png"), 415, "unsupported-image"),
        (answer(b""), 422, "empty-file"),
        (answer(b"\x89PNG\r\n\x1a\nxx"), 422, "image-corrupt"),
    ],
)
def test_what_is_not_a_picture(fetching, wire, said, status, code):
    with peer(says(said)) as found:
        wire.peers[PUBLIC] = found.port
        made = fetching.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (status, code), made.text
    assert made.json["advice"]
    assert fetching.count() == 0


def test_a_wrong_parameter_is_told_before_anything_is_fetched(fetching, wire):
    made = fetching.client.post(API, json={**BODY, "params": {"preset": "ultra"}})
    assert (made.status_code, made.json["code"]) == (422, "invalid-parameter")
    assert wire.looked_up == []


def test_fetching_is_off_unless_the_operator_says_so(server, no_connections):
    made = server.client.post(API, json=BODY)
    assert (made.status_code, made.json["code"]) == (422, "url-not-allowed")
    assert "MESHKILN_FETCH_URLS" in made.json["advice"]


@pytest.mark.parametrize(
    "more", [{"image": "data:image/png;base64,AAAA"}, {"image_url": 5}, {"image_url": ["x"]}]
)
def test_an_address_is_text_and_comes_alone(fetching, wire, more):
    made = fetching.client.post(API, json={**BODY, **more})
    assert (made.status_code, made.json["code"]) == (422, "invalid-parameter")
    assert made.json["errors"][0]["pointer"] == "/image_url"
    assert wire.looked_up == []


def test_forms_take_no_address(fetching, wire, small_png):
    made = fetching.post(small_png, image_url=HTTP_URL)
    assert (made.status_code, made.json["code"]) == (422, "url-not-allowed")
    assert "JSON" in made.json["detail"]


def test_a_repeated_request_fetches_nothing_again(fetching, wire, small_png):
    headers = {"Idempotency-Key": "k"}
    with peer(says(answer(small_png))) as found:
        wire.peers[PUBLIC] = found.port
        first = fetching.client.post(API, json=BODY, headers=headers)
        again = fetching.client.post(API, json=BODY, headers=headers)
        assert len(found.requests) == 1
    other = fetching.client.post(API, json={**BODY, "image_url": URL}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json["id"] == again.json["id"]
    assert other.status_code == 422


def test_only_so_many_are_fetched_at_a_time(fetching, wire, monkeypatch):
    monkeypatch.setattr(picture_fetch, "WAIT_S", 0.01)
    taken = 0
    while picture_fetch._slots.acquire(blocking=False):
        taken += 1
    try:
        made = fetching.client.post(API, json=BODY)
    finally:
        for _ in range(taken):
            picture_fetch._slots.release()
    assert (made.status_code, made.json["code"]) == (422, "url-unreachable")
    assert int(made.headers["Retry-After"]) > 0
    assert (taken, wire.connected) == (picture_fetch.AT_A_TIME, [])


@pytest.fixture
def hooked(server, wire):
    settings = server.service.settings
    server.service.webhooks = Webhooks(settings, server.service.store, client=wire.client())
    return server


def test_a_webhook_is_kept_with_its_job_and_shown(hooked, small_png):
    job = hooked.submit(small_png, webhook_url=URL)
    shown = hooked.client.get(f"{API}/{job['id']}/webhook")
    assert shown.status_code == 200
    assert (shown.json["url"], shown.json["state"], shown.json["attempts"]) == (URL, "pending", 0)
    early = hooked.client.post(f"{API}/{job['id']}/webhook/resend")
    assert (early.status_code, early.json["code"]) == (409, "job-not-finished")
    hooked.finish(hooked.claim(), {})
    again = hooked.client.post(f"{API}/{job['id']}/webhook/resend")
    assert (again.status_code, again.json["id"]) == (202, shown.json["id"])


def test_a_job_without_a_webhook_has_none_to_show(server, small_png):
    job = server.submit(small_png)
    for job_id in (job["id"], "0" * 26):
        for call in (server.client.get, server.client.post):
            tail = "/resend" if call == server.client.post else ""
            made = call(f"{API}/{job_id}/webhook{tail}")
            assert made.status_code in (404, 409)
    assert server.client.get(f"{API}/{job['id']}/webhook").json["code"] == "not-found"


def test_a_receiver_whose_name_is_unknown_is_told_at_once(hooked, small_png):
    def unknown(host, *_):
        raise UrlUnreachable(f"There is no host {host}.")

    hooked.service.webhooks._client._resolve = unknown
    made = hooked.post(small_png, webhook_url="https://nowhere.example/")
    assert (made.status_code, made.json["code"]) == (422, "url-unreachable")
    assert hooked.count() == 0


def test_a_webhook_that_is_no_text(server, small_png):
    made = server.client.post(API, json={"image": "data:image/png;base64,AAAA", "webhook_url": 5})
    assert (made.status_code, made.json["errors"][0]["pointer"]) == (422, "/webhook_url")
