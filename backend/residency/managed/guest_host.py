"""A hosted program in a process of its own: other packages, other faults, the same calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.errors import (
    HostedEngineCrashed,
    HostedEngineSilent,
    InvalidParameter,
    ModelLoadFailed,
)
from backend.residency.guest.stage_cache import StageCache
from backend.residency.managed.guest_connection import GuestConnection
from backend.residency.managed.guest_process import GuestCommand, interpreter_of
from backend.residency.managed.guest_weights import GuestWeights, Started
from backend.residency.managed.host import CallWatcher
from backend.units import MB, Clock

LOAD_TIMEOUT_S = 1800.0

log = logging.getLogger(__name__)


class GuestHost:
    """Hosts a program under its own interpreter.

    Parameters
    ----------
    name : str
        Of the engine; part of the keys of its cache.
    factory : str
        ``module:callable``, imported over there.
    python : path
        Interpreter, or folder of a virtual environment.
    path : sequence of paths
        Folders in which the program's modules are found.
    arguments : mapping
        Keyword arguments of the factory.
    movable : str or sequence of str
        ``auto``: what looks like torch modules moves; ``none``: the process ends instead; or the
        attribute paths of the modules.
    cached : sequence of str
        Paths of methods whose results are kept, such as ``tokenizer.encode``.
    cache_dir : path, optional
        Where they are kept; nothing is without it.
    version : str
        Of program and weights: another one finds none of the results kept by this one.
    timeout_s : float, optional
        Longest call; the process is ended then.
    env : mapping
        More variables for its environment.
    device : callable
        Says ``cuda`` when the program's weights are to go to a GPU; asked when it is loaded.
    """

    def __init__(
        self,
        name: str,
        factory: str,
        *,
        python: Path | str,
        path: Sequence[Path | str] = (),
        arguments: Mapping[str, Any] | None = None,
        movable: str | Sequence[str] = "auto",
        cached: Sequence[str] = (),
        cache_dir: Path | None = None,
        cache_mb: int = 2048,
        version: str = "",
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        device: Callable[[], str] = lambda: "cpu",
        clock: Clock | None = None,
    ) -> None:
        if ":" not in factory:
            raise InvalidParameter(f"A factory is 'module:callable', not {factory!r}.")
        self.name = name
        self.restarts = -1
        self.on_gone: Callable[[], None] = lambda: None
        self._python = python
        self._env, self._cwd = dict(env or {}), cwd
        self._timeout_s, self._device, self._clock = timeout_s, device, clock
        self._cache = StageCache(cache_dir, cache_mb * MB) if cache_dir and cached else None
        self._order: dict[str, Any] = {
            "engine": name,
            "factory": factory,
            "arguments": dict(arguments or {}),
            "path": [str(Path(folder).absolute()) for folder in path],
            "movable": movable if isinstance(movable, str) else list(movable),
            "version": version,
            "cached": list(cached),
            "cache_dir": None if cache_dir is None else str(cache_dir),
            "cache_bytes": cache_mb * MB,
        }
        self._loaded: GuestWeights | None = None

    def load(self) -> GuestWeights:
        """Start the process and have it make the program; its weights are in host memory then.

        Raises
        ------
        ModelLoadFailed, EngineUnavailable, OutOfMemory
        """
        device = "cuda" if self._device() == "cuda" else "cpu"
        self._loaded = GuestWeights(lambda: self._start(device), device, self._clock)
        return self._loaded

    def before_offload(self) -> None:
        """Nothing is held here: the program lets go of its own things in its own process."""

    def is_alive(self, loaded: Any) -> bool:
        """Whether a call can reach what was loaded."""
        return isinstance(loaded, GuestWeights) and loaded.is_alive

    def call(
        self,
        loaded: Any,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        watcher: CallWatcher | None = None,
    ) -> Any:
        """Call a method of the program.

        Raises
        ------
        HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent, OutOfMemory, JobCanceled
        """
        order = {"method": method, "args": list(args), "kwargs": dict(kwargs)}
        connection: GuestConnection = loaded.connection
        return connection.request("call", order, timeout_s=self._timeout_s, watcher=watcher)

    def status(self) -> dict[str, Any]:
        """Describe the process and what was found in the program, JSON-ready; sizes in MB."""
        document: dict[str, Any] = {
            "lives": "process",
            "python": str(self._python),
            "pid": None,
            "restarts": max(0, self.restarts),
            "cache": self._cache.statistics() if self._cache else None,
        }
        loaded = self._loaded
        if loaded is None or not loaded.is_alive:
            return document
        facts = loaded.started.facts
        return document | {
            "pid": loaded.pid,
            "rss_mb": round(loaded.host_bytes / MB, 1),
            "vram_mb": round(loaded.device_bytes / MB, 1),
            "movable": facts["movable"],
            "obstacle": facts["obstacle"],
            "roots": facts["roots"],
            "immovable": facts["immovable"],
            "not_cached": facts["not_cached"],
            "versions": {"python": facts["python"], "torch": facts["torch"]},
        }

    def close(self) -> None:
        """End the process, if there is one."""
        if self._loaded is not None:
            self._loaded.free()

    def _start(self, device: str) -> Started:
        env = {**self._env} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": "", **self._env}
        command = GuestCommand(self.name, interpreter_of(self._python), env, self._cwd)
        connection = GuestConnection(command, lambda: self.on_gone(), self._clock)
        try:
            order = self._order | {"device": device}
            facts = connection.request("load", order, timeout_s=LOAD_TIMEOUT_S)
        except (HostedEngineCrashed, HostedEngineSilent) as error:
            raise ModelLoadFailed(error.detail) from error
        except BaseException:
            connection.end(0.0)
            raise
        self.restarts += 1
        for path in facts["not_cached"]:
            log.warning("%s has no method %r whose results could be kept", self.name, path)
        return Started(connection, facts)
