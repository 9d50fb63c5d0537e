"""Residency settings changed while the server runs; kept in Redis, so that a new child has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import redis

KEY = "mk:gpu:settings"
NAMES = frozenset({"policy", "idle_offload_s", "idle_release_s"})
RULE_NAMES = {"residency": "policy"}


def keep_settings(client: redis.Redis, changes: Mapping[str, Any]) -> None:
    """Remember changes; raises RedisError."""
    client.hset(KEY, mapping={name: json.dumps(value) for name, value in changes.items()})


def forget_settings(client: redis.Redis, names: Iterable[str]) -> None:
    """Forget changes to settings that this start was given explicitly; raises RedisError."""
    given = [RULE_NAMES.get(name, name) for name in names]
    known = [name for name in given if name in NAMES]
    if known:
        client.hdel(KEY, *known)


def kept_settings(client: redis.Redis) -> dict[str, Any]:
    """Return the changes made so far; {} when Redis is away."""
    try:
        stored = cast("dict[str, str]", client.hgetall(KEY))
    except redis.RedisError:
        return {}
    return {name: json.loads(text) for name, text in stored.items() if name in NAMES}
