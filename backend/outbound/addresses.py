"""Judges an address that a user names, and fixes where a call to it goes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

import idna

from backend.errors import StartFailed, UrlNotAllowed
from backend.outbound.public_addresses import Address, is_public, may_be_named

MAX_URL = 2048
MAX_HOST = 253
PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_PATH_CHARACTERS = "/%:=&?~#+!$,;'@()*[]"

Resolve = Callable[[str, int, float], list[str]]
"""Finds the IP addresses of a host: name, port, seconds it may take; raises UrlUnreachable."""


@dataclass(frozen=True)
class Rules:
    """What may be called.

    Parameters
    ----------
    schemes : frozenset of str
        ``http``, ``https`` or both.
    ports : frozenset of int
        Ports at which hosts may be called.
    named_hosts : tuple of str
        Hosts, or ``host:port``, that the operator names: they may be in a local network, and be
        called over http.
    """

    schemes: frozenset[str] = frozenset(PORTS)
    ports: frozenset[int] = frozenset(PORTS.values())
    named_hosts: tuple[str, ...] = ()

    def names(self, host: str, port: int) -> bool:
        """Whether the operator names this host and port."""
        entries = [entry.strip().lower() for entry in self.named_hosts]
        shown = f"[{host}]" if ":" in host else host
        usual = port in self.ports
        return f"{shown}:{port}" in entries or (usual and (shown in entries or host in entries))


@dataclass(frozen=True)
class Target:
    """Where a call goes: nothing of it is looked up again.

    Parameters
    ----------
    scheme, host : str
        ``host`` is in ASCII and lower case, without brackets.
    path : str
        Path and query.
    addresses : tuple of str
        IP addresses, all of them judged.
    """

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def read_ports(texts: Iterable[str]) -> frozenset[int]:
    """Read ports from a setting; raises StartFailed for what is none."""
    ports = frozenset(int(text) for text in texts if text.isascii() and text.isdecimal())
    if not ports or len(ports) < len(set(texts)) or not all(0 < port < 65536 for port in ports):
        raise StartFailed(
            f"MESHKILN_OUTBOUND_PORTS={','.join(texts)} is not a list of ports.",
            advice="Give numbers from 1 to 65535, separated by commas, or unset it.",
        )
    return ports


def judge(url: str, rules: Rules, resolve: Resolve, within_s: float) -> Target:
    """Decide whether an address may be called, looking its host up once.

    Parameters
    ----------
    url : str
        As a user or another server gave it.
    rules : Rules
        What may be called.
    resolve : callable
        Finds IP addresses.
    within_s : float
        Seconds that the look-up may take.

    Raises
    ------
    UrlNotAllowed
        It breaks a rule, or one of its IP addresses does.
    UrlUnreachable
        Its host has no address.
    """
    parts = _split(url)
    host, port = _host(parts), _port(parts)
    is_named = rules.names(host, port)
    if parts.scheme not in (PORTS if is_named else rules.schemes):
        raise UrlNotAllowed(f"Only {' and '.join(sorted(rules.schemes))} addresses may be called.")
    if port not in rules.ports and not is_named:
        raise UrlNotAllowed(f"Port {port} may not be called.")
    may_be_called = may_be_named if is_named else is_public
    addresses = tuple([host] if _literal(host) else resolve(host, port, within_s))
    if not addresses or not all(may_be_called(_parsed(address)) for address in addresses):
        raise UrlNotAllowed(f"{host} is not an address on the public internet.")
    return Target(parts.scheme, host, port, _path(parts), addresses)


def _split(url: str) -> SplitResult:
    """Take a URL apart; the standard library would drop line breaks silently."""
    if len(url) > MAX_URL:
        raise UrlNotAllowed(f"The address is longer than {MAX_URL} characters.")
    if any(_is_unfit(char) for char in url):
        raise UrlNotAllowed("The address has characters that none may have.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UrlNotAllowed("The address cannot be read.") from error
    if parts.scheme not in PORTS:
        raise UrlNotAllowed("Only http and https addresses may be called.")
    if "@" in parts.netloc:
        raise UrlNotAllowed("The address may not carry a user name or password.")
    return parts


def _is_unfit(char: str) -> bool:
    """Whether a character has no place in an address; half a surrogate cannot even be sent."""
    code = ord(char)
    return char <= " " or char in '\\<>"\x7f' or 0x80 <= code < 0xA1 or 0xD800 <= code < 0xE000


def _host(parts: SplitResult) -> str:
    """Return the host in ASCII; raises UrlNotAllowed for what no resolver should be asked."""
    host = parts.hostname or ""
    if ":" in host or "[" in parts.netloc:
        return str(_parsed(host))
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise UrlNotAllowed("The host name is not valid.") from error
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical(name)
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlNotAllowed("The host name is not valid.")
    return name


def _canonical(host: str) -> str:
    """Return an IPv4 address; its decimal, octal, hexadecimal and short forms are refused."""
    if _literal(host) is None:
        raise UrlNotAllowed("Write an IP address as four decimal numbers.")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise UrlNotAllowed("The port is not a number from 1 to 65535.") from error
    if port == 0 or (port is None and parts.netloc.endswith(":")):
        raise UrlNotAllowed("The port is not a number from 1 to 65535.")
    return port or PORTS[parts.scheme]


def _path(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_PATH_CHARACTERS)
    path = path if path.startswith("/") else f"/{path}"
    return f"{path}?{quote(parts.query, safe=_PATH_CHARACTERS)}" if parts.query else path


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _parsed(text: str) -> Address:
    address = _literal(text)
    if address is None or "%" in text:  # a zone names an interface of this machine
        raise UrlNotAllowed("The IP address is not valid.")
    return address
