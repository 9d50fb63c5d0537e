"""One Redis, three spellings of its address."""

from __future__ import annotations

from typing import Any

import redis

SOCKET_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 2.0


def connect(url: str, **options: Any) -> redis.Redis:
    """Open a client; ``url`` is ``redis://…`` or ``unix://path``. Connects on first use."""
    return redis.Redis.from_url(url, **(connection_options(url) | options))


def connection_options(url: str) -> dict[str, Any]:
    """Return how every client of ours connects."""
    settings: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 10,
        "decode_responses": True,
    }
    if not url.startswith("unix:"):
        settings["socket_keepalive"] = True
    return settings


def broker_url(url: str) -> str:
    """Spell the address as kombu wants it.

    >>> broker_url("unix:///run/x/redis.sock")
    'redis+socket:///run/x/redis.sock'
    >>> broker_url("redis://localhost:6379/0")
    'redis://localhost:6379/0'
    """
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix:") else url
