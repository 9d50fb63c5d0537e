"""What holds for every socket: who is let in, how long a message may take, how it ends."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, current_app, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import LocalProtocolError

from backend.web.access.guard import watch_admission
from backend.web.live_connections import LiveConnections
from backend.web.security import check_socket_origin

SEND_TIMEOUT_S = 3
# the second unanswered ping ends a socket: a side cut off in silence costs a thread for 8 s
PING_S = 3.5
MAX_CLIENT_MESSAGE = 4096
MAX_CLIENT_MESSAGES = 200
FINISHED, GOING_AWAY, POLICY, UNKNOWN_JOB, SILENT = 1000, 1012, 1008, 4404, 1011
SOCKET_OPTIONS: dict[str, Any] = {
    "ping_interval": PING_S,
    "max_message_size": MAX_CLIENT_MESSAGE,
    # its reader may sleep until the next ping after the end; the process must not wait for it
    "thread_class": partial(threading.Thread, daemon=True),
}

sock = Sock()


def socket_blueprint(name: str) -> Blueprint:
    """Make a blueprint for sockets; each request is let in, and its place is given back."""
    blueprint = Blueprint(name, __name__)
    blueprint.before_request(_admit)
    blueprint.teardown_request(_dismiss)
    return blueprint


def converse(client: Server, talk: Callable[[], int]) -> None:
    """Talk to a client until the talk is over, the client leaves or reads too slowly.

    Parameters
    ----------
    talk : callable
        Sends with ``send`` and returns the code to close with.
    """
    _limit_sending(client)
    _let_the_silent_return(client)
    try:
        code = talk()
    except ConnectionClosed:
        return
    except (LocalProtocolError, OSError):  # gone, or reads so slowly that it counts as gone
        _cut(client)
        return
    _close(client, code)


def send(client: Server, text: str) -> None:
    """Send; raises OSError when the time limit cut the message off (send itself says nothing)."""
    started_s = time.monotonic()
    client.send(text)
    if time.monotonic() - started_s >= SEND_TIMEOUT_S:
        raise TimeoutError("the client does not read")


def is_flooding(client: Server) -> bool:
    """Throw away what the client says; whether it says too much, or its key has ended.

    Raises
    ------
    ConnectionClosed
        The client has gone.
    """
    if not client.connected:
        raise ConnectionClosed(client.close_reason, client.close_message)
    count = len(client.input_buffer)
    client.input_buffer.clear()
    return count > MAX_CLIENT_MESSAGES or not watch_admission()()


def _limit_sending(client: Server) -> None:
    """Without a limit one client that never reads would hold its thread for ever."""
    client.sock.settimeout(None)
    client.sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0)
    )


def _let_the_silent_return(client: Server) -> None:
    """End a client that answers no ping with 1011.

    The library would say 1008, after which no browser connects again, but a radio that was gone for
    ten seconds deserves to.
    """
    close = client.close

    def close_with_code(reason: int | None = None, message: str | None = None) -> None:
        is_ping_timeout = reason == POLICY and message is not None
        close(SILENT if is_ping_timeout else reason, message)

    client.close = close_with_code


def _cut(client: Server) -> None:
    """End the connection without waiting for the other side."""
    with contextlib.suppress(OSError):
        client.sock.shutdown(socket.SHUT_RDWR)


def _close(client: Server, code: int) -> None:
    with contextlib.suppress(ConnectionClosed, LocalProtocolError, OSError):
        client.close(code)


def _admit() -> None:
    """Refuse before the upgrade: other sites, and more than we have threads for."""
    check_socket_origin()
    live: LiveConnections = current_app.extensions["meshkiln.live"]
    g.give_back = live.open(request.remote_addr or "")


def _dismiss(_error: BaseException | None) -> None:
    """Give the place back, however the socket ended."""
    give_back: Callable[[], None] | None = g.pop("give_back", None)
    if give_back:
        give_back()
