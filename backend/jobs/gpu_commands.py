"""Commands to a worker's child: a stream per child, and an answer that waits to be fetched.

Celery's own control messages are answered by the worker's parent, which owns no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import redis

from backend.units import new_id

STREAM, ANSWER = "mk:gpu:commands:", "mk:gpu:answer:"
COMMAND_TTL_S, ANSWER_TTL_S = 30, 60
KEPT_COMMANDS = 100


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
        Seconds since 1970; a command that is older is dropped.
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
        "deadline": repr(now.timestamp() + COMMAND_TTL_S),
        "arguments": json.dumps(dict(arguments)),
    }
    stream = STREAM + worker
    client.xadd(stream, cast("Any", entry), maxlen=KEPT_COMMANDS)
    client.expire(stream, COMMAND_TTL_S)  # nobody reads the commands of a child that has died
    return command_id


def receive(
    client: redis.Redis, worker: str, after: str, block_ms: int
) -> tuple[str, list[Command]]:
    """Wait for commands; returns where to go on reading, and the commands."""
    found = cast("Any", client.xread({STREAM + worker: after}, block=block_ms, count=20))
    commands = []
    for _, entries in found or ():
        for entry_id, entry in entries:
            after = entry_id
            commands.append(
                Command(
                    entry["id"],
                    CommandKind(entry["kind"]),
                    float(entry["deadline"]),
                    json.loads(entry["arguments"]),
                )
            )
    return after, commands


def answer(client: redis.Redis, command_id: str, document: Mapping[str, Any]) -> None:
    """Lay down the answer to a command."""
    key = ANSWER + command_id
    client.rpush(key, json.dumps(dict(document)))
    client.expire(key, ANSWER_TTL_S)


def await_answer(client: redis.Redis, command_id: str, wait_s: float) -> dict[str, Any] | None:
    """Fetch the answer to a command; None when there is none in time."""
    found = cast("Any", client.blpop([ANSWER + command_id], timeout=wait_s))
    if not found:
        return None
    document: dict[str, Any] = json.loads(found[1])
    return document
