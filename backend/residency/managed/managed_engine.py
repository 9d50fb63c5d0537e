"""Any PyTorch program under the residency manager: leased for each call, offloaded by policy."""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from backend.errors import EngineUnavailable, GpuBusy, HostedEngineCrashed, InvalidParameter
from backend.residency.controls import release
from backend.residency.lease import Lease
from backend.residency.managed.call_times import CallTimes, Stopwatch
from backend.residency.managed.call_turn import CallTurn
from backend.residency.managed.host import CallWatcher, Host
from backend.residency.managed.hosting import make_host
from backend.residency.managed.unmovable import AUTO, Movable, Unmovable
from backend.residency.manager import ResidencyManager
from backend.residency.process import ProcessResidency, current_residency
from backend.residency.records import ModelRecord, ModelSpec
from backend.units import MB

CLOSE_TIMEOUT_S = 30.0

log = logging.getLogger(__name__)
_names_given_back: weakref.WeakKeyDictionary[ProcessResidency, set[str]]
_names_given_back = weakref.WeakKeyDictionary()


class ManagedEngine:
    """A hosted program that is on the device while it is called, and leaves it by policy.

    Only the listed methods are delegated: ``engine.clone(...)`` is ``engine.call("clone", ...)``,
    with all arguments as they are. Calls take turns; one made from inside another runs at once.

    Parameters
    ----------
    name : str
        Under which the model is listed, offloaded and released.
    factory : callable or str
        Makes the program; ``module:callable`` together with ``venv``.
    methods : sequence of str
        What can be called.
    movable : str or list of str
        ``auto`` moves every module found in the program, paths move those only, ``none`` drops
        the program instead.
    unmovable : sequence of Unmovable
        Hooks for what is no module; in this process only.
    venv : path, optional
        A Python interpreter, or the folder of a virtual environment: the program then lives in a
        process of its own.
    path : sequence of path
        Folders on that process's ``sys.path``.
    arguments : dict
        Keyword arguments of the factory.
    budget_mb : int, optional
        Device memory that the program takes at work, weights included.
    timeout_s : float, optional
        Longest call, in a process of its own.
    version : str
        Of the program: what is cached of another one is not used.
    cached : sequence of str
        Inner methods whose results are kept by the content of their arguments, in a process of
        its own.
    residency : ProcessResidency, optional
        Whose device; this process's unless given.

    Raises
    ------
    InvalidParameter
        The name is taken, or the arguments contradict each other.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[..., Any] | str,
        methods: Sequence[str],
        *,
        title: str = "",
        movable: Movable = AUTO,
        unmovable: Sequence[Unmovable] = (),
        venv: str | Path | None = None,
        path: Sequence[str | Path] = (),
        arguments: Mapping[str, Any] | None = None,
        budget_mb: int | None = None,
        timeout_s: float | None = None,
        version: str = "",
        cached: Sequence[str] = (),
        residency: ProcessResidency | None = None,
    ) -> None:
        self.name = name
        self.methods = tuple(methods)
        self._title = title
        self._residency = residency or current_residency()
        self._budget_bytes = (budget_mb or 0) * MB
        self._host: Host = make_host(
            name, factory, movable=movable, unmovable=unmovable, venv=venv, path=path,
            arguments=arguments or {}, budget_mb=budget_mb, timeout_s=timeout_s, version=version,
            cached=cached, device=self._device_name, on_gone=self._forget_dead,
        )  # fmt: skip
        self._is_own_process = venv is not None
        self._turn = CallTurn(name)
        self._counts = {"calls": 0, "failures": 0}
        self._times = threading.local()
        self._closed = False
        self._register()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a listed method; anything else is not reached from here."""
        methods = self.__dict__.get("methods", ())
        if name in methods:
            return lambda *args, **kwargs: self.call(name, args, kwargs)
        listed = ", ".join(methods) or "none"
        raise AttributeError(
            f"{self.__dict__.get('name', 'this engine')} does not delegate {name!r}, only: "
            f"{listed}. Name it in 'methods' if it is to be called.",
            name=name,
            obj=self,
        )

    @property
    def last_call(self) -> CallTimes | None:
        """What the last call of this thread took; None before its first."""
        return getattr(self._times, "last", None)

    def call(
        self,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        watcher: CallWatcher | None = None,
    ) -> Any:
        """Call a method of the program under a lease.

        Parameters
        ----------
        watcher : CallWatcher, optional
            Hears of progress, and may cancel.

        Raises
        ------
        InvalidParameter, EngineUnavailable, ModelLoadFailed, ModelTooLarge, OutOfMemory, GpuBusy,
        HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent, JobCanceled
        """
        if method not in self.methods:
            raise InvalidParameter(
                f"{self.name} has no method {method!r} to call.",
                advice=f"Choose one of: {', '.join(self.methods)}.",
            )
        if self._closed:
            raise self._no_more()
        manager = self._residency.manager()
        watch = Stopwatch(manager.table.clock)
        work = partial(self._host.call, method=method, args=args, kwargs=kwargs or {})
        with self._turn.taken(watcher, manager.rules.lease_timeout_s) as is_nested:
            try:
                return self._work(manager, partial(work, watcher=watcher), watch, is_nested)
            except BaseException:
                self._counts["failures"] += 1
                raise
            finally:
                self._counts["calls"] += 1
                self._times.last = watch.times()

    def status(self) -> dict[str, Any]:
        """Describe the engine, JSON-ready: state, place, bytes, restarts, what is not moved."""
        rows = self._residency.status()["models"]
        row: dict[str, Any] = next(model for model in rows if model["name"] == self.name)
        last, program = self.last_call, self._host.status()
        return row | {
            "lives_in": "a process of its own" if self._is_own_process else "this process",
            "methods": list(self.methods),
            "closed": self._closed,
            "budget_mb": self._budget_bytes // MB or None,
            "last_call": last and last.as_facts(),
            "pid": program.get("pid"),
            "restarts": program.get("restarts", 0),
            "program": program,
            **self._counts,
        }

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Release the program; calls are refused from now on.

        Parameters
        ----------
        timeout_s : float
            How long a call under way may go on; then a process of its own is ended.
        """
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(GpuBusy), self._turn.taken(None, timeout_s):
            log.debug("%s is at no call", self.name)
        if self._residency.started:
            release(self._residency.manager(), self.name, drain=True)
        self._host.close()
        _names_given_back.setdefault(self._residency, set()).add(self.name)

    def __enter__(self) -> ManagedEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _register(self) -> None:
        given_back = _names_given_back.get(self._residency, set())
        if self.name in self._residency.names and self.name not in given_back:
            raise InvalidParameter(
                f"There is a model called {self.name!r} already.",
                advice="Give the engine another name, or close the one that has it.",
            )
        given_back.discard(self.name)
        self._residency.register(
            ModelSpec(
                self.name, self._load, title=self._title, before_offload=self._host.before_offload
            )
        )

    def _load(self) -> Any:
        if self._closed:
            raise self._no_more()
        return self._host.load()

    def _no_more(self) -> EngineUnavailable:
        return EngineUnavailable(f"{self.name} was closed.", advice="Make the engine anew.")

    def _device_name(self) -> str:
        return str(self._residency.manager().device.name.value)

    def _work(
        self,
        manager: ResidencyManager,
        work: Callable[[Any], Any],
        watch: Stopwatch,
        is_nested: bool,
    ) -> Any:
        """Lease, call, end the lease; a process that died while idle is started anew."""
        for _ in range(2):
            lease = self._lease(manager, watch, is_nested)
            loaded = lease.model
            try:
                with lease:
                    if self._host.is_alive(loaded):
                        with watch.computing():
                            return work(loaded)
            except HostedEngineCrashed:
                self._forget(loaded)
                raise
            self._forget_dead()
        raise HostedEngineCrashed(f"{self.name} ended again before it could be called.")

    def _lease(self, manager: ResidencyManager, watch: Stopwatch, is_nested: bool) -> Lease:
        with manager.table:
            record = manager.table.find(self.name)
            restores = record.restores
        if record.copy is None:
            with watch.loading():
                manager.prepare(self.name)
        lease = manager.lease(self.name, vram_extra_bytes=self._extra(record, is_nested))
        if record.restores > restores and record.last_restore is not None:
            watch.restored(record.last_restore.elapsed_s)
        return lease

    def _extra(self, record: ModelRecord, is_nested: bool) -> int:
        """Memory for work beside the weights; the call around a nested one has it already."""
        return 0 if is_nested else max(0, self._budget_bytes - record.size_bytes)

    def _forget_dead(self) -> None:
        """Release a program that no call can reach any more, so that the next one loads it anew."""
        if not self._residency.started:
            return
        manager = self._residency.manager()
        with manager.table:
            loaded = manager.table.find(self.name).loaded
        if loaded is not None and not self._host.is_alive(loaded):
            self._forget(loaded)

    def _forget(self, dead: Any) -> None:
        """Release what a process that ended had loaded; another may have loaded it anew."""
        manager = self._residency.manager()
        with manager.table:
            is_still_there = manager.table.find(self.name).loaded is dead
        if is_still_there:
            release(manager, self.name, drain=True)
