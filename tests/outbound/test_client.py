"""Row 29 of the abuse table: peers that redirect, rebind, drip, hang, lie or never end."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from backend.errors import UrlNotAllowed, UrlUnreachable
from backend.outbound import name_lookup
from backend.outbound.addresses import Rules
from backend.outbound.client import HEADER_BYTES, Call, Limits, OutboundClient
from tests.outbound.peers import OTHER_PUBLIC, PUBLIC, answer, peer, received, says

LIMITS = Limits(max_bytes=10_000, redirects=3, deadline_s=5)
QUICK = Limits(max_bytes=10_000, redirects=3, deadline_s=0.6)
URL = "http://site.example/a.png?x=1"


def test_a_call_goes_to_the_judged_address_with_the_name_in_the_header(wire, listen):
    found = listen(says(answer(b"hello", Content_Type="text/plain")))
    got = wire.client().call(URL, Rules(), LIMITS)
    assert (got.status, got.body, got.url) == (200, b"hello", URL)
    assert wire.connected == [(PUBLIC, 80)]
    assert wire.looked_up == ["site.example"]
    head = found.requests[0].decode().split("\r\n")
    assert head[0] == "GET /a.png?x=1 HTTP/1.1"
    assert {"Host: site.example", "Accept-Encoding: identity", "Connection: close"} <= set(head)


def test_a_body_is_sent_whole(wire, listen):
    found = listen(says(answer()))
    body = os.urandom(3_000_000)
    got = wire.client().call(URL, Rules(), Limits(), Call("POST", {"X-A": "b"}, body))
    assert got.status == 200
    head, _, sent = found.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST ")
    assert b"\r\nX-A: b" in head


def test_a_name_that_changes_between_two_look_ups_is_looked_up_once(wire, listen):
    """DNS rebinding: the second answer is the loopback address."""
    listen(says(answer(b"ok")))
    wire.names["site.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert wire.client().call(URL, Rules(), LIMITS).body == b"ok"
    assert wire.connected == [(PUBLIC, 80)]
    with pytest.raises(UrlNotAllowed):
        wire.client().call(URL, Rules(), LIMITS)
    assert wire.connected == [(PUBLIC, 80)]


def test_the_next_address_is_tried_when_one_refuses(wire, listen):
    listen(says(answer(b"ok")))
    wire.names["site.example"] = [[OTHER_PUBLIC, PUBLIC]]
    assert wire.client().call(URL, Rules(), LIMITS).body == b"ok"
    assert wire.connected == [(OTHER_PUBLIC, 80), (PUBLIC, 80)]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "http://localhost/", "http://169.254.169.254/latest", "//127.0.0.1/",
     "file:///etc/passwd", "gopher://site.example/", "http://site.example:6379/", "http://[::1",
     "http://user@site.example/"],
)  # fmt: skip
def test_a_redirect_is_judged_anew(wire, listen, location):
    listen(says(answer(status="302 Found", Location=location)))
    wire.names["localhost"] = [["127.0.0.1"]]
    with pytest.raises((UrlNotAllowed, UrlUnreachable)):
        wire.client().call(URL, Rules(), LIMITS)
    assert wire.connected == [(PUBLIC, 80)]


@pytest.mark.parametrize(("start", "arrives"), [(0, True), (3, True), (4, False)])
def test_at_most_three_redirects_are_followed(wire, start, arrives):
    def script(connection):
        number = int(found.requests[-1].split()[1].strip(b"/"))
        if number:
            connection.sendall(answer(status="302 Found", Location=f"/{number - 1}"))
        else:
            connection.sendall(answer(b"there"))

    with peer(script) as found:
        wire.names["site.example"], wire.peers[PUBLIC] = [[PUBLIC]], found.port
        call = (f"http://site.example/{start}", Rules(), LIMITS)
        if arrives:
            assert wire.client().call(*call).body == b"there"
        else:
            with pytest.raises(UrlUnreachable, match="redirects more than 3"):
                wire.client().call(*call)
    assert len(found.requests) == min(start, 3) + 1


def test_without_redirects_the_status_is_the_answer(wire, listen):
    listen(says(answer(status="302 Found", Location="http://127.0.0.1/")))
    got = wire.client().call(URL, Rules(), Limits())
    assert got.status == 302
    assert wire.connected == [(PUBLIC, 80)]


def drip(data: bytes, pause_s: float = 0.05):
    def script(connection):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause_s)

    return script


def hang(connection):
    connection.recv(1)


SLOW = {
    "never answers": hang,
    "a byte now and then in the header": drip(answer(b"ok")),
    "a byte now and then in the body": lambda c: (
        c.sendall(answer(b"x" * 500)[:-500]),
        drip(b"x" * 500)(c),
    ),
    "endless interim answers": lambda c: [
        (c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"), time.sleep(0.05)) for _ in range(200)
    ],
    "slow chunks": lambda c: (
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        drip(b"1\r\nx\r\n" * 100)(c),
    ),
}


@pytest.mark.parametrize("row", SLOW)
def test_a_slow_peer_holds_nobody_beyond_the_deadline(wire, listen, row):
    listen(SLOW[row])
    began_s = time.monotonic()
    with pytest.raises(UrlUnreachable, match=r"within 0\.6 s"):
        wire.client().call(URL, Rules(), QUICK)
    assert time.monotonic() - began_s < 2


def test_a_peer_that_reads_nothing_holds_nobody_beyond_the_deadline(wire):
    """A body larger than the buffers of both ends cannot be sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.names["site.example"] = [[PUBLIC]]
        wire.peers[PUBLIC] = listener.getsockname()[1]
        began_s = time.monotonic()
        with pytest.raises(UrlUnreachable, match="within"):
            wire.client().call(URL, Rules(), QUICK, Call("POST", {}, b"x" * 50_000_000))
        assert time.monotonic() - began_s < 3


def test_redirects_share_one_deadline(wire, listen):
    def script(connection):
        time.sleep(0.3)
        connection.sendall(answer(status="302 Found", Location="/again"))

    listen(script)
    began_s = time.monotonic()
    with pytest.raises(UrlUnreachable, match=r"within 0\.6 s"):
        wire.client().call(URL, Rules(), QUICK)
    assert time.monotonic() - began_s < 1.2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_ANSWERS = {
    "longer than it may be": says(answer(b"x" * 10_001)),
    "length that is a lie": says(answer(b"x" * 100)[:-50]),
    "endless": says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 9000] * 100),
    "endless chunks": says(CHUNKED, *[b"100\r\n" + b"x" * 256 + b"\r\n"] * 80),
    "chunks cut short": says(CHUNKED, b"100\r\nxx"),
    "chunk size of nonsense": says(CHUNKED, b"zz\r\n"),
    "compressed": says(answer(b"x", Content_Encoding="gzip")),
    "endless header": says(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * HEADER_BYTES),
    "one long header": says(b"HTTP/1.1 200 OK\r\nX: ", b"y" * (3 * HEADER_BYTES)),
    "no http": says(b"+OK redis\r\n"),
    "nothing": says(),
}  # fmt: skip


@pytest.mark.parametrize("row", BAD_ANSWERS)
def test_a_bad_answer_is_no_answer(wire, listen, row):
    listen(BAD_ANSWERS[row])
    with pytest.raises(UrlUnreachable):
        wire.client().call(URL, Rules(), LIMITS)


def test_small_chunks_have_room_for_their_frames(wire, listen):
    chunks = b"10\r\n" + b"x" * 16 + b"\r\n"
    listen(
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 600 + b"0\r\n\r\n")
    )
    assert len(wire.client().call(URL, Rules(), LIMITS).body) == 9600


def test_a_body_that_nobody_wants_is_not_waited_for(wire, listen):
    listen(lambda connection: (connection.sendall(answer(b"x" * 100)[:-100]), hang(connection)))
    began_s = time.monotonic()
    assert wire.client().call(URL, Rules(), Limits(deadline_s=5)).status == 200
    assert time.monotonic() - began_s < 2


def test_nobody_there(wire):
    wire.names["site.example"] = [[PUBLIC]]
    with pytest.raises(UrlUnreachable, match=r"site\.example did not give"):
        wire.client().call(URL, Rules(), LIMITS)


def test_proxies_of_the_environment_are_not_used(wire, listen, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    found = listen(says(answer(b"ok")))
    assert wire.client().call(URL, Rules(), LIMITS).body == b"ok"
    assert found.requests[0].startswith(b"GET /a.png?x=1 ")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for site.example that nobody but the test trusts."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=site.example", "-addext",
               "subjectAltName=DNS:site.example",
               "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure_peer(wire, certificate):
    """A TLS peer; notes which server names it was asked for."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _sock, name, _context: names.append(name)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
                with connection, context.wrap_socket(connection, server_side=True) as secured:
                    received(secured)
                    secured.sendall(answer(b"secret"))
            except ssl.SSLError:
                continue
            except OSError:
                return

    listener = socket.create_server(("127.0.0.1", 0))
    wire.peers[PUBLIC] = listener.getsockname()[1]
    wire.names |= {"site.example": [[PUBLIC]], "other.example": [[PUBLIC]]}
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield names
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(timeout=5)


def test_tls_checks_the_name_although_the_connection_goes_to_an_address(
    wire, secure_peer, certificate
):
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    client = wire.client(trust=trust)
    assert client.call("https://site.example/", Rules(), LIMITS).body == b"secret"
    assert wire.connected == [(PUBLIC, 443)]
    assert secure_peer == ["site.example"]
    with pytest.raises(UrlUnreachable, match=r"certificate of other\.example"):
        client.call("https://other.example/", Rules(), LIMITS)


def test_tls_trusts_no_stranger(wire, secure_peer):
    with pytest.raises(UrlUnreachable, match="certificate"):
        wire.client().call("https://site.example/", Rules(), LIMITS)


def test_a_tls_peer_that_never_shakes_hands(wire, listen):
    listen(hang)
    with pytest.raises(UrlUnreachable, match=r"within 0\.6 s"):
        wire.client().call("https://site.example/", Rules(), QUICK)


def test_the_systems_resolver_is_asked_with_a_time_limit(monkeypatch):
    free = threading.Event()

    def slow(*_, **__):
        free.wait(10)
        return []

    monkeypatch.setattr("socket.getaddrinfo", slow)
    began_s = time.monotonic()
    with pytest.raises(UrlUnreachable, match="in time"):
        name_lookup.look_up("site.example", 80, 0.2)
    assert time.monotonic() - began_s < 2
    free.set()


def test_what_the_systems_resolver_says(monkeypatch):
    assert "127.0.0.1" in name_lookup.look_up("localhost", 80, 5)

    def unknown(*_, **__):
        raise socket.gaierror("no such host")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(UrlUnreachable, match=r"no host site\.example"):
        name_lookup.look_up("site.example", 80, 5)


def test_a_client_of_the_system_refuses_this_machine():
    with pytest.raises(UrlNotAllowed):
        OutboundClient().call("http://localhost/", Rules(), LIMITS)
