"""A Redis client for pages: what is not known within a second is unknown.

A Redis that hangs, being swapped out or stopped, lets every call wait for its whole timeout; a
page that makes ten calls would wait for ten of them. After one timeout this client refuses at
once for a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from backend.jobs.redis_url import connection_options

ANSWER_S = 1.0
SILENCE_S = 5.0

Answer = TypeVar("Answer")


class QuickRedis(redis.Redis):
    """Refuses for ``SILENCE_S`` after a call that took longer than ``ANSWER_S``."""

    _silence_s = SILENCE_S
    _silent_until_s = 0.0

    @classmethod
    def to(cls, url: str, silence_s: float = SILENCE_S) -> QuickRedis:
        """Open a client; connects at the first use."""
        options = connection_options(url) | {
            "socket_timeout": ANSWER_S,
            "socket_connect_timeout": ANSWER_S,
            "retry": Retry(NoBackoff(), 0),
        }
        client = cast("QuickRedis", cls.from_url(url, **options))
        client._silence_s = silence_s
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Ask, unless Redis has just kept somebody waiting; raises RedisError."""
        ask: Callable[..., Any] = super().execute_command
        return self._asked(lambda: ask(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline that follows the same rule when it is executed."""
        pipe = super().pipeline(transaction, shard_hint)
        execute = pipe.execute
        pipe.execute = lambda *args, **options: self._asked(  # type: ignore[method-assign]
            lambda: execute(*args, **options)
        )
        return pipe

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        if time.monotonic() < self._silent_until_s:
            raise redis.TimeoutError("Redis did not answer a moment ago.")
        try:
            return ask()
        except redis.TimeoutError:
            self._silent_until_s = time.monotonic() + self._silence_s
            raise
