"""How often a GPU was lost lately: a card that fails again and again is left alone for a while."""

from __future__ import annotations

from typing import cast

import redis

PREFIX = "mk:gpu:lost:"
WINDOW_S = 600
MOST_FAILURES = 3


def note_failure(client: redis.Redis, gpu: str) -> None:
    """Count a lost context; raises RedisError."""
    client.incr(PREFIX + gpu)
    client.expire(PREFIX + gpu, WINDOW_S)


def failure_reason(client: redis.Redis, gpu: str) -> str | None:
    """Say why a GPU should be left alone; None when it may be used."""
    try:
        count = int(cast("str | None", client.get(PREFIX + gpu)) or 0)
    except redis.RedisError:
        return None
    if count < MOST_FAILURES:
        return None
    minutes = WINDOW_S // 60
    return (
        f"the GPU is left alone: it failed {count} times within {minutes} minutes; a start after "
        "that time tries it again"
    )
