"""How many jobs lost a GPU lately: a card that fails them all is left alone for a while."""

from __future__ import annotations

import redis

PREFIX = "mk:gpu:lost:"
WINDOW_S = 600
MOST_JOBS = 3


def note_failure(client: redis.Redis, gpu: str, job_id: str) -> None:
    """Remember that a job lost the card; one poisonous job counts once. Raises RedisError."""
    client.sadd(PREFIX + gpu, job_id)
    if client.ttl(PREFIX + gpu) < 0:  # the window begins with the first
        client.expire(PREFIX + gpu, WINDOW_S)


def failure_reason(client: redis.Redis, gpu: str) -> str | None:
    """Say why a GPU should be left alone; None when it may be used."""
    try:
        jobs = client.scard(PREFIX + gpu)
    except redis.RedisError:
        return None
    if jobs < MOST_JOBS:
        return None
    minutes = WINDOW_S // 60
    return (
        f"the GPU is left alone: {jobs} jobs lost it within {minutes} minutes; it is tried again "
        "after that time"
    )
