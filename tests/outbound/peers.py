"""Peers that behave as scripted, and a client that reaches them under public addresses."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from backend.outbound.client import OutboundClient

PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Peer:
    """Accepts connections and hands each to the script; notes what was received first."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            self.requests.append(received(connection))
            self._script(connection)


def received(connection: socket.socket) -> bytes:
    """Read a request: its header, and a body of the length it tells."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(*parts: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return script


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def peer(script: Callable[[socket.socket], None]) -> Iterator[Peer]:
    made = Peer(script)
    try:
        yield made
    finally:
        made.close()


class Wire:
    """A resolver and a network of the test's own: names and addresses lead where it says.

    ``names`` maps a host to its answers, one per look-up, the last one for good; ``peers`` maps
    an IP address to the port of a local peer.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.peers: dict[str, int] = {}
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []

    def client(self, **options) -> OutboundClient:
        return OutboundClient(resolve=self.resolve, connect=self.connect, **options)

    def resolve(self, host: str, _port: int, _within_s: float) -> list[str]:
        self.looked_up.append(host)
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, within_s: float) -> socket.socket:
        self.connected.append((address, port))
        if address not in self.peers:
            raise ConnectionRefusedError(address)
        return socket.create_connection(("127.0.0.1", self.peers[address]), timeout=within_s)
