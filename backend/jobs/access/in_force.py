"""Whether anybody is asked for a key."""

from __future__ import annotations

import ipaddress

from backend.settings import Settings


def keys_in_force(settings: Settings) -> bool:
    """Whether every request needs a key: beyond this machine always, on it when set."""
    return settings.require_key or not is_loopback(settings.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
