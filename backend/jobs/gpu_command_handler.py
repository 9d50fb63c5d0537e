"""The thread of a worker's child that carries out commands on its models."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import redis

from backend.errors import (
    EngineUnavailable,
    GpuBusy,
    InternalError,
    InvalidParameter,
    MeshkilnError,
    ModelLeased,
)
from backend.gpu.faults import Fault, classify
from backend.jobs.error_documents import error_document
from backend.jobs.gpu_commands import (
    Command,
    CommandKind,
    answer,
    command_id,
    read_command,
    receive,
    redis_time_s,
)
from backend.residency import controls
from backend.residency.policies import Policy
from backend.residency.process import ProcessResidency
from backend.residency.states import Outcome

WAIT_S = 1.0
PAUSE_S = 1.0

log = logging.getLogger(__name__)


class CommandHandler:
    """Reads this child's commands and answers them.

    Parameters
    ----------
    worker : str
        The child's name, as its heartbeat gives it.
    on_device_loss : callable
        Called when a preload breaks the card's context.
    connect : callable
        Opens a Redis client whose reads may block for a second.
    """

    def __init__(
        self,
        residency: ProcessResidency,
        connect: Callable[[], redis.Redis],
        worker: str,
        on_device_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self._residency = residency
        self._client = connect()
        self._worker = worker
        self._on_device_loss = on_device_loss
        self._preloading: set[str] = set()

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
        drain = bool(arguments.get("drain", kind is CommandKind.OFFLOAD))
        arriving = self._preloading & set([name] if name else self._residency.names)
        if arriving and not drain:
            raise ModelLeased(f"{', '.join(sorted(arriving))} is on its way in.")
        if not self._residency.started and not arriving:  # nothing was ever loaded
            names = [name] if name else self._residency.names
            return _answer_of(dict.fromkeys(names, Outcome.DONE))
        act = controls.offload if kind is CommandKind.OFFLOAD else controls.release
        return _answer_of(act(self._residency.manager(), name, drain=drain))

    def _preload(self, name: str) -> dict[str, Any]:
        """Begin to load; a failure shows in the status of the model."""
        if importlib.util.find_spec("torch") is None:
            raise EngineUnavailable(
                "torch is not installed, so no model can be loaded.",
                advice="Run: .venv/bin/pip install -r requirements-gpu.txt",
            )
        self._preloading.add(name)
        load = threading.Thread(target=self._load, args=(name,), name=f"preload-{name}")
        load.daemon = True
        load.start()
        return _answer_of({name: Outcome.STARTED})

    def _load(self, name: str) -> None:
        try:
            controls.preload(self._residency.manager(), name)
        except Exception as error:  # the status of the model says what is wrong with it
            log.warning("%s could not be preloaded", name, exc_info=error)
            if classify(error) is Fault.CONTEXT_LOST:
                self._on_device_loss()
        finally:
            self._preloading.discard(name)

    def _change_rules(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._residency.change_rules(**rules_of(arguments))
        return {"status": Outcome.DONE.value, "settings": dict(arguments)}

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                text = receive(self._client, self._worker, WAIT_S)
                if text is not None:
                    self._answer(text)
            except redis.RedisError as error:
                log.debug("commands wait for Redis (%s)", error)
                pause.wait(PAUSE_S)
            except Exception:  # the thread must live
                log.exception("a command could not be answered")

    def _answer(self, text: str) -> None:
        """Carry a command out, and say what came of it, also when it cannot be read."""
        try:
            command = read_command(text)
            if redis_time_s(self._client) > command.deadline:
                raise GpuBusy("The command came too late and was not carried out.")
            document = self.carry_out(command)
        except MeshkilnError as error:
            document = {"problem": error_document(error) | {"status": error.http_status}}
        asked_by = command_id(text)
        if asked_by is not None:
            answer(self._client, asked_by, document)


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
