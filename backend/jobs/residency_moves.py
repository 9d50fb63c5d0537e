"""Where models went: the moves of all workers, the newest 500 in a Redis list.

A worker that manages models also tells that it began: then its models are on disk, and those of
an earlier process on the same card are gone from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import redis

KEY = "mk:residency:moves"
KEPT_MOVES = 500
ON_CPU = "cpu"


class MoveWriter:
    """Writes the moves that a worker's status tells and that were not written yet.

    Parameters
    ----------
    client : redis.Redis
        With a short time limit.
    worker : str
        This process.
    card : str or None
        The card it owns, with the machine's name; None without one.
    """

    def __init__(self, client: redis.Redis, worker: str, card: str | None) -> None:
        self._client = client
        self._worker = worker
        self._card = card
        self._seq = 0
        self._told_start = False

    def publish(self, status: Mapping[str, Any]) -> None:
        """Write what is new; raises RedisError, and then the next call writes it.

        Parameters
        ----------
        status : mapping
            With ``models``, ``residency`` and ``sampled_at``, as the heartbeat has them.
        """
        if not status.get("models"):
            return
        new = self._new_moves(status.get("residency") or {})
        entries = [] if self._told_start else [self._start(status)]
        entries += new
        if not entries:
            return
        with self._client.pipeline(transaction=True) as pipe:
            pipe.lpush(KEY, *(json.dumps(entry) for entry in entries))
            pipe.ltrim(KEY, 0, KEPT_MOVES - 1)
            pipe.execute()
        self._told_start = True
        self._seq = max([self._seq, *(move["seq"] for move in new)])

    def _start(self, status: Mapping[str, Any]) -> dict[str, Any]:
        names = [model["name"] for model in status["models"]]
        return self._signed({"kind": "start", "at": status["sampled_at"], "models": names})

    def _new_moves(self, residency: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Pick the moves after the last one written, oldest first."""
        told = sorted(residency.get("transitions") or [], key=lambda move: int(move["seq"]))
        on_gpu = residency.get("backend") != ON_CPU
        fields = ("seq", "at", "model", "from", "to", "reason")
        return [
            self._signed({"kind": "move", "on_gpu": on_gpu} | {key: move[key] for key in fields})
            for move in told
            if move["seq"] > self._seq
        ]

    def _signed(self, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"worker": self._worker, "card": self._card}


def read_moves(client: redis.Redis) -> list[dict[str, Any]]:
    """Return starts and moves, oldest first; [] when Redis is away.

    Returns
    -------
    list of dict
        ``kind`` ("start" or "move"), ``at``, ``worker``, ``card``; a start has ``models``, a move
        ``model``, ``from``, ``to``, ``reason``, ``seq`` and ``on_gpu``.
    """
    try:
        texts = cast("list[str]", client.lrange(KEY, 0, -1))
    except redis.RedisError:
        return []
    return [json.loads(text) for text in reversed(texts)]
