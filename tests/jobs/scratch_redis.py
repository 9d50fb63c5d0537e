"""A Redis of a test module's own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from backend.jobs.broker import redis_command, redis_url
from backend.jobs.redis_url import connect
from tests.jobs.conftest import wait_until


@contextlib.contextmanager
def scratch_redis(folder: Path) -> Iterator[redis.Redis]:
    """Run a server in a folder and hand out a client of it."""
    with subprocess.Popen(redis_command(folder), stdout=subprocess.DEVNULL) as process:
        client = connect(redis_url(folder), socket_timeout=2)
        try:
            wait_until(lambda: _answers(client))
            yield client
        finally:
            client.close()
            process.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
