"""Kombu's way to Redis, by which no worker goes deaf when Redis is away as a bell is answered.

A worker takes no second bell while one is not answered. Kombu counts a bell as not answered for
ever when Redis could not be told: the worker then asks Redis for nothing, so it does not even
notice that the connection is gone, and stays idle while jobs wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import redis
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport.redis import Channel, QoS, Transport

log = logging.getLogger(__name__)


class AnsweredBells(QoS):
    """Counts a bell as answered whether or not Redis can be told.

    It lies in Redis until it is rung again there, which is harmless: the rows tell what there is
    to do.
    """

    def ack(self, delivery_tag: str) -> None:
        """Answer a bell."""
        self._answer(delivery_tag, super().ack)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a bell back."""
        self._answer(delivery_tag, partial(super().reject, requeue=requeue))

    def _answer(self, delivery_tag: str, tell_redis: Callable[[str], None]) -> None:
        try:
            tell_redis(delivery_tag)
        except (redis.RedisError, OSError) as error:
            log.warning("Redis could not be told that a bell was answered (%s)", error)
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]


class BellChannel(Channel):
    """A channel that counts so."""

    QoS = AnsweredBells


class BellTransport(Transport):
    """A transport whose channels count so."""

    Channel = BellChannel


def use_bell_transport() -> None:
    """Let every connection of this process to ``redis…://`` use it."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{BellTransport.__name__}"
