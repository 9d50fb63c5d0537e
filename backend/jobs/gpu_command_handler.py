"""The thread of a worker's child that carries out commands on its models."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import redis

from backend.errors import InternalError, InvalidParameter, MeshkilnError
from backend.jobs.claims import error_document
from backend.jobs.gpu_commands import Command, CommandKind, answer, receive
from backend.residency import controls
from backend.residency.policies import Policy
from backend.residency.process import ProcessResidency
from backend.residency.states import Outcome
from backend.units import Clock

BLOCK_MS = 1000
PAUSE_S = 1.0

log = logging.getLogger(__name__)


class CommandHandler:
    """Reads this child's commands and answers them.

    Parameters
    ----------
    worker : str
        The child's name, as its heartbeat gives it.
    connect : callable
        Opens a Redis client whose reads may block for a second.
    """

    def __init__(
        self,
        residency: ProcessResidency,
        connect: Callable[[], redis.Redis],
        worker: str,
        clock: Clock,
    ) -> None:
        self._residency = residency
        self._client = connect()
        self._worker = worker
        self._clock = clock

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="gpu-commands", daemon=True).start()

    def carry_out(self, command: Command) -> dict[str, Any]:
        """Do what a command says; returns its answer, which may be a problem."""
        try:
            return self._act(command.kind, command.arguments)
        except MeshkilnError as error:
            return {"problem": error_document(error) | {"status": error.http_status}}
        except Exception:  # the thread must live; the log has the traceback
            log.exception("the command %s failed", command.kind)
            problem = InternalError(f"The worker could not {command.kind} the model.")
            return {"problem": error_document(problem) | {"status": problem.http_status}}

    def _act(self, kind: CommandKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if kind is CommandKind.SETTINGS:
            return self._change_rules(arguments)
        name = arguments.get("model")
        self._residency.require(name)
        if kind is CommandKind.PRELOAD:
            return self._preload(str(name))
        if not self._residency.started:  # nothing was ever loaded
            names = [name] if name else self._residency.names
            return _answer_of(dict.fromkeys(names, Outcome.DONE))
        act = controls.offload if kind is CommandKind.OFFLOAD else controls.release
        drain = bool(arguments.get("drain", kind is CommandKind.OFFLOAD))
        return _answer_of(act(self._residency.manager(), name, drain=drain))

    def _preload(self, name: str) -> dict[str, Any]:
        """Begin to load; a failure shows in the status of the model."""

        def load() -> None:
            try:
                controls.preload(self._residency.manager(), name)
            except MeshkilnError as error:
                log.warning("%s could not be preloaded: %s", name, error.detail)
            except Exception:
                log.exception("%s could not be preloaded", name)

        threading.Thread(target=load, name=f"preload-{name}", daemon=True).start()
        return _answer_of({name: Outcome.STARTED})

    def _change_rules(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._residency.change_rules(**rules_of(arguments))
        return {"status": Outcome.DONE.value, "settings": dict(arguments)}

    def _run(self) -> None:
        after, pause = "0-0", threading.Event()
        while True:
            try:
                after, commands = receive(self._client, self._worker, after, BLOCK_MS)
                for command in commands:
                    self._answer(command)
            except redis.RedisError as error:
                log.debug("commands wait for Redis (%s)", error)
                pause.wait(PAUSE_S)

    def _answer(self, command: Command) -> None:
        if self._clock.now().timestamp() > command.deadline:
            log.info("the command %s came too late and is dropped", command.kind)
            return
        answer(self._client, command.id, self.carry_out(command))


def rules_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Read rules as they travel; raises InvalidParameter when a policy does not exist."""
    rules = dict(arguments)
    if "policy" in rules:
        try:
            rules["policy"] = Policy(rules["policy"])
        except ValueError as error:
            names = ", ".join(Policy)
            raise InvalidParameter(
                f"There is no policy {rules['policy']!r}.", advice=f"Choose one of {names}."
            ) from error
    return rules


def _answer_of(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Sum outcomes up: done only when all are."""
    order = (Outcome.STARTED, Outcome.DRAINING, Outcome.DONE)
    worst = next((o for o in order if o in outcomes.values()), Outcome.DONE)
    return {"status": worst.value, "models": {n: o.value for n, o in outcomes.items()}}
