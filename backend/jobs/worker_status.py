"""What workers say of themselves: a key in Redis each, written every second, gone after five."""

from __future__ import annotations

import json
from typing import Any, cast

import redis

from backend.jobs.owners import Owner

STATUS_TTL_S = 5
PREFIX = "mk:worker:"


def status_key(queue: str, host: str, pid: int) -> str:
    """Key of one worker."""
    return f"{PREFIX}{queue}:{host}:{pid}"


def write_status(client: redis.Redis, status: dict[str, Any]) -> None:
    """Say what this worker does; raises RedisError."""
    key = status_key(status["queue"], status["host"], status["pid"])
    client.set(key, json.dumps(status), ex=STATUS_TTL_S)


def read_statuses(client: redis.Redis) -> list[dict[str, Any]]:
    """Read the workers that have spoken within the last five seconds; [] when Redis is away.

    One that is known to have died since is left out: its last words are not current.
    """
    try:
        keys = sorted(client.scan_iter(f"{PREFIX}*", count=500))
        if not keys:
            return []
        texts = cast("list[str | None]", client.mget(keys))
    except redis.RedisError:
        return []
    statuses = [json.loads(text) for text in texts if text]
    return [status for status in statuses if not _has_died(status)]


def _has_died(status: dict[str, Any]) -> bool:
    epoch = status.get("epoch")
    return epoch is not None and Owner.parse(epoch).is_dead()
