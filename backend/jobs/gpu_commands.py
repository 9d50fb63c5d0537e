"""Commands to a worker's child: a list per child, and an answer that waits to be fetched.

Celery's own control messages are answered by the worker's parent, which owns no model. Times are
those of Redis, so that the clocks of two machines need not agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import redis

from backend.errors import InvalidParameter
from backend.units import new_id

COMMANDS, ANSWER = "mk:gpu:commands:", "mk:gpu:answer:"
COMMAND_TTL_S, ANSWER_TTL_S = 30, 60


class CommandKind(StrEnum):
    """What a worker can be asked to do with its models."""

    OFFLOAD = "offload"
    RELEASE = "release"
    PRELOAD = "preload"
    SETTINGS = "settings"


@dataclass(frozen=True)
class Command:
    """One request.

    Parameters
    ----------
    deadline : float
        Seconds since 1970 by the clock of Redis; an older command is not carried out.
    """

    id: str
    kind: CommandKind
    deadline: float
    arguments: Mapping[str, Any] = field(default_factory=dict)


def send(
    client: redis.Redis,
    worker: str,
    kind: CommandKind,
    arguments: Mapping[str, Any],
    now: datetime,
) -> str:
    """Send a command to the child named ``worker``; returns its id.

    Raises
    ------
    redis.RedisError
        Redis does not answer.
    """
    command_id = new_id(now)
    entry = {
        "id": command_id,
        "kind": kind.value,
        "deadline": redis_time_s(client) + COMMAND_TTL_S,
        "arguments": dict(arguments),
    }
    key = COMMANDS + worker
    client.rpush(key, json.dumps(entry))
    client.expire(key, COMMAND_TTL_S)  # nobody reads the commands of a child that has died
    return command_id


def receive(client: redis.Redis, worker: str, wait_s: float) -> str | None:
    """Wait for the next command, as it was written; None when there is none in time."""
    found = cast("Any", client.blpop([COMMANDS + worker], timeout=wait_s))
    return str(found[1]) if found else None


def read_command(text: str) -> Command:
    """Read a command.

    Raises
    ------
    InvalidParameter
        It was written by another version, or not by us.
    """
    try:
        entry = json.loads(text)
        kind, deadline = CommandKind(entry["kind"]), float(entry["deadline"])
        return Command(str(entry["id"]), kind, deadline, dict(entry["arguments"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidParameter(f"This worker does not know the command {text[:80]!r}.") from error


def command_id(text: str) -> str | None:
    """Return the id of a command that may not be readable otherwise."""
    try:
        return str(json.loads(text)["id"])
    except (ValueError, KeyError, TypeError):
        return None


def redis_time_s(client: redis.Redis) -> float:
    """Return the clock of Redis in seconds since 1970; raises RedisError."""
    seconds, microseconds = cast("Any", client.time())
    return float(seconds) + float(microseconds) / 1e6


def answer(client: redis.Redis, command_id: str, document: Mapping[str, Any]) -> None:
    """Lay down the answer to a command; raises RedisError."""
    key = ANSWER + command_id
    client.rpush(key, json.dumps(dict(document)))
    client.expire(key, ANSWER_TTL_S)


def await_answer(client: redis.Redis, command_id: str, wait_s: float) -> dict[str, Any] | None:
    """Fetch the answer to a command; None when there is none in time."""
    found = cast("Any", client.blpop([ANSWER + command_id], timeout=max(0.01, wait_s)))
    if not found:
        return None
    document: dict[str, Any] = json.loads(found[1])
    return document
