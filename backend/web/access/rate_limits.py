"""How many requests a minute: counted in Redis, and in this process while Redis is away."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.units import Clock, SystemClock

WINDOW_S = 60
ANSWER_S = 0.3
AWAY_S = 5.0
PREFIX = "meshkiln-limits"
# Nobody guesses a key, so this only keeps the log and the database quiet.
FAILURES_PER_MIN = 30

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Standing:
    """How a caller stands after a request.

    Parameters
    ----------
    is_allowed : bool
        Whether the request was within the limit.
    remaining : int
        How many more there may be at once.
    reset_s : int
        Seconds until there may be one more, at least 1.
    """

    name: str
    per_min: int
    is_allowed: bool
    remaining: int
    reset_s: int

    @property
    def policy(self) -> str:
        """The header ``RateLimit-Policy`` (draft of the IETF's HTTPAPI group)."""
        return f'"{self.name}";q={self.per_min};w={WINDOW_S}'

    @property
    def state(self) -> str:
        """The header ``RateLimit``."""
        return f'"{self.name}";r={self.remaining};t={self.reset_s}'


class RateLimits:
    """Counts requests by name and caller over the last minute.

    Parameters
    ----------
    redis_url : str
        Shared by all web processes; '' counts in this process only.
    """

    def __init__(self, redis_url: str, clock: Clock | None = None) -> None:
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_redis_storage(redis_url)) if redis_url else None
        # The library reads the wall clock itself, so a scripted clock must not disagree with it.
        self._clock = clock or SystemClock()
        self._away_until_s = -math.inf
        self._lock = threading.Lock()

    def count(self, name: str, caller: str, per_min: int, cost: int = 1) -> Standing:
        """Count a request, or as many things as it asks for, unless that is beyond the limit."""
        item = RateLimitItemPerMinute(per_min)
        return self._asked(lambda limiter: self._standing(limiter, item, (name, caller), cost))

    def _standing(
        self, limiter: RateLimiter, item: RateLimitItem, who: tuple[str, str], cost: int
    ) -> Standing:
        name, caller = who
        is_allowed = limiter.hit(item, PREFIX, name, caller, cost=cost)
        stats = limiter.get_window_stats(item, PREFIX, name, caller)
        wait_s = math.ceil(stats.reset_time - self._clock.now().timestamp())
        return Standing(name, item.amount, is_allowed, stats.remaining, max(1, wait_s))

    def _asked(self, ask: Callable[[RateLimiter], Answer]) -> Answer:
        if self._shared is not None and self._clock.monotonic_s() >= self._away_until_s:
            try:
                return ask(self._shared)
            except redis.RedisError:
                with self._lock:
                    self._away_until_s = self._clock.monotonic_s() + AWAY_S
        return ask(self._here)


def _redis_storage(url: str) -> RedisStorage:
    """Connect at the first use; a Redis that hangs keeps nobody waiting for long."""
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )
    spelled = url.replace("unix://", "redis+unix://", 1) if url.startswith("unix:") else url
    return RedisStorage(spelled, connection_pool=pool)
