"""gunicorn's threaded worker, which no client can hold up by being slow.

gunicorn itself waits for ever for a client that sends a byte now and then, and its one accepting
thread waits up to 2 s for each client that leaves its side of a finished connection open.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import time
from typing import Any

from gunicorn.http import get_parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker

from backend.errors import RequestTimeout
from backend.web.request_pace import RequestPace

LINGER_S = 2.0
LINGER_BYTES = 65536


class PacedUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads the requests of a connection, and gives up on a client that is too slow.

    Parameters
    ----------
    sock : socket
        Of the connection, blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.pace = RequestPace()
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._request: Any = None

    def begin_head(self) -> None:
        """Wait for a request."""
        self.pace.begin_head()
        self._request = None

    def begin_body(self, request: Any) -> None:
        """Wait for the body of a request, which must be the last one if we give up."""
        self.pace.begin_body()
        self._request = request

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next.

        Raises
        ------
        RequestTimeout
            The client has used up its time.
        TimeoutError
            The time limit that gunicorn has set on the socket is over.
        """
        self._wait()
        data: bytes = super().chunk(size_hint)
        self.pace.receive(len(data))
        return data

    def _wait(self) -> None:
        limit_s = self.sock.gettimeout()
        is_shorter = limit_s is not None and limit_s < self.pace.left_s
        allowed_s = limit_s if is_shorter else self.pace.left_s
        started_s = time.monotonic()
        found = self._readable.poll(allowed_s * 1000)
        self.pace.wait(time.monotonic() - started_s)
        if found:
            return
        if is_shorter:
            raise TimeoutError
        if self._request is not None:
            self._request.force_close()
        raise RequestTimeout


class PacedWorker(ThreadWorker):  # type: ignore[misc]
    """Cuts slow requests, and sees clients off in the thread that served them."""

    def handle(self, conn: Any) -> Any:
        """Serve a connection that has something to read, in a thread of the pool."""
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader = PacedUnreader(conn.sock)
        conn.parser.unreader.begin_head()
        stays = super().handle(conn)
        if not stays:
            _see_off(conn.sock)
        return stays

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head is read."""
        conn.parser.unreader.begin_body(req)
        try:
            return super().handle_request(req, conn)
        except (TimeoutError, BlockingIOError) as error:  # it takes nothing of what we send
            raise ConnectionResetError(errno.ECONNRESET, "the client is gone") from error

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request whose head could not be read."""
        if not isinstance(exc, RequestTimeout):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("Cut off %s: %s", (addr or ("",))[0], exc.title)
        with contextlib.suppress(OSError):
            client.sendall(_answer(exc))

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back in the accepting thread.

        The reader of a socket closes its connection itself; gunicorn would fail to close it once
        more and count it twice, and then not wait for requests that are under way when it stops.
        """
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
            return
        super().finish_request(conn, fs)


def _see_off(sock: socket.socket) -> None:
    """Let the other side read our last words and leave, for 2 s at most.

    Closing with bytes unread would make the kernel throw away the answer on its way (RFC 9112,
    section 9.6).
    """
    with contextlib.suppress(OSError, ValueError):
        sock.shutdown(socket.SHUT_WR)
        readable = select.poll()
        readable.register(sock, select.POLLIN)
        drained, deadline_s = 0, time.monotonic() + LINGER_S
        while drained < LINGER_BYTES:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not readable.poll(left_s * 1000):
                break
            data = sock.recv(4096)
            if not data:
                break
            drained += len(data)
        sock.shutdown(socket.SHUT_RDWR)  # what comes now is not waited for


def _answer(error: RequestTimeout) -> bytes:
    """Write the whole answer to a request that no app has seen."""
    problem = {
        "type": f"/docs/problems#{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.detail,
        "code": error.code,
        "advice": error.advice,
        "errors": [],
    }
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {error.http_status} Request Timeout\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
