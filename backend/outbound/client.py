"""Calls one judged address over HTTP: no second look-up, no proxies, no endless answers."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urljoin

import certifi

from backend import __version__
from backend.errors import UrlUnreachable
from backend.outbound.addresses import Resolve, Rules, Target, judge
from backend.outbound.name_lookup import look_up
from backend.outbound.timed_socket import TimedSocket
from backend.units import Clock, SystemClock

DEADLINE_S = 10.0
CONNECT_S = 4.0
HEADER_BYTES = 32 * 1024
CHUNK_BYTES = 64 * 1024
FOLLOWED = (301, 302, 303, 307, 308)
USER_AGENT = f"Meshkiln/{__version__}"

Connect = Callable[[str, int, float], socket.socket]
"""Opens a connection: IP address, port, seconds it may take."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much a call may take.

    Parameters
    ----------
    max_bytes : int or None
        Longest body that is taken; None if it need not be read at all.
    redirects : int
        How many are followed, each judged like the first address.
    deadline_s : float
        Seconds for all of it: look-up, connection, redirects, and the last byte.
    """

    max_bytes: int | None = None
    redirects: int = 0
    deadline_s: float = DEADLINE_S


@dataclass(frozen=True)
class Call:
    """What is sent: a method, headers beside the usual ones, and a body if any."""

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """What came back, from which address in the end."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class OutboundClient:
    """Makes calls.

    Parameters
    ----------
    clock : Clock, optional
        Source of time.
    resolve, connect : callable, optional
        The system's; tests script them.
    trust : SSLContext, optional
        Whose certificates are believed: by default those of the system and of certifi.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        resolve: Resolve = look_up,
        connect: Connect | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._resolve = resolve
        self._connect = connect or _connect
        self._trust = trust

    def judge(self, url: str, rules: Rules, within_s: float = CONNECT_S) -> Target:
        """Decide whether an address may be called; raises UrlNotAllowed, UrlUnreachable."""
        return judge(url, rules, self._resolve, within_s)

    def call(self, url: str, rules: Rules, limits: Limits, what: Call | None = None) -> Answer:
        """Make a call and follow its redirects.

        Raises
        ------
        UrlNotAllowed
            The address, or one that it redirects to, may not be called. Nothing was sent there.
        UrlUnreachable
            No whole answer in time.
        """
        what = what or Call()
        deadline_s = self._clock.monotonic_s() + limits.deadline_s
        for left in range(limits.redirects, -1, -1):
            answer = self._call_once(url, rules, limits, what, deadline_s)
            onward = answer.headers.get("Location")
            if not limits.redirects or answer.status not in FOLLOWED or not onward:
                return answer
            if left:
                url = _joined(url, onward)
        raise UrlUnreachable(f"It redirects more than {limits.redirects} times.")

    def _call_once(
        self, url: str, rules: Rules, limits: Limits, what: Call, deadline_s: float
    ) -> Answer:
        target = judge(url, rules, self._resolve, deadline_s - self._clock.monotonic_s())
        try:
            with closing(self._open(target, deadline_s)) as connection:
                timed = TimedSocket(connection, deadline_s, self._clock)
                status, headers, body = _exchange(timed, target, what, limits)
        except TimeoutError as error:
            shown = f"{target.host} did not answer within {limits.deadline_s:g} s."
            raise UrlUnreachable(shown) from error
        except ssl.SSLCertVerificationError as error:
            raise UrlUnreachable(f"The certificate of {target.host} is not valid.") from error
        except (OSError, http.client.HTTPException) as error:
            log.info("call to %s failed: %r", target.host, error)
            raise UrlUnreachable(f"{target.host} did not give a whole answer.") from error
        return Answer(url, status, headers, body)

    def _open(self, target: Target, deadline_s: float) -> socket.socket:
        """Connect to the first of the judged addresses that takes it."""
        failure: OSError = TimeoutError()
        for address in target.addresses:
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            try:
                connection = self._connect(address, target.port, min(left_s, CONNECT_S))
            except OSError as error:
                failure = error
                continue
            return self._secured(connection, target, deadline_s)
        raise failure

    def _secured(
        self, connection: socket.socket, target: Target, deadline_s: float
    ) -> socket.socket:
        if target.scheme != "https":
            return connection
        try:
            connection.settimeout(max(deadline_s - self._clock.monotonic_s(), 0.001))
            trust = self._trust or _usual_trust()
            return trust.wrap_socket(connection, server_hostname=target.host)
        except BaseException:
            connection.close()
            raise


def _exchange(
    timed: TimedSocket, target: Target, what: Call, limits: Limits
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send the request and read the answer; the header has an allowance of its own."""
    http_connection = http.client.HTTPConnection(target.host, target.port)
    http_connection.sock = timed
    timed.allow(HEADER_BYTES)
    http_connection.putrequest(what.method, target.path, skip_host=True, skip_accept_encoding=True)
    usual = {"Host": target.authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if what.body is not None:
        usual["Content-Length"] = str(len(what.body))
    for name, value in {**usual, **what.headers, "Connection": "close"}.items():
        http_connection.putheader(name, value)
    http_connection.endheaders(what.body)
    with http_connection.getresponse() as response:
        follows = response.status in FOLLOWED and limits.redirects
        if limits.max_bytes is None or follows:
            return response.status, response.headers, b""
        timed.allow(2 * limits.max_bytes + HEADER_BYTES)  # chunks have frames
        return response.status, response.headers, _body(response, limits.max_bytes)


def _body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UrlUnreachable("The answer is compressed, although that was not asked for.")
    body = bytearray()
    if (response.length or 0) <= max_bytes:
        while chunk := response.read(min(CHUNK_BYTES, max_bytes + 1 - len(body))):
            body += chunk
    if len(body) > max_bytes or (response.length or 0) > max_bytes:
        raise UrlUnreachable(f"The answer is longer than {max_bytes} bytes.")
    if response.length:
        raise UrlUnreachable("The answer ended too early.")
    return bytes(body)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise UrlUnreachable("It redirects to an address that cannot be read.") from error


def _connect(address: str, port: int, within_s: float) -> socket.socket:
    """Connect to an IP address; one that is given as numbers is not looked up."""
    return socket.create_connection((address, port), timeout=within_s)


@cache
def _usual_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
