"""A hosted program in this process: its factory is called here, and so are its methods."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import torch

from backend.errors import HostedEngineFailed, MeshkilnError, ModelLoadFailed, OutOfMemory
from backend.residency.guest.module_roots import resolve, survey
from backend.residency.managed.host import CallWatcher
from backend.residency.managed.program import (
    DroppedProgram,
    HookedProgram,
    MovedProgram,
    has_quantised,
)
from backend.residency.managed.unmovable import (
    AUTO,
    NONE,
    Movable,
    Unmovable,
    UnmovableParts,
)

Loaded = MovedProgram | DroppedProgram | HookedProgram

_watcher: ContextVar[CallWatcher | None] = ContextVar("watcher of the call", default=None)


class InProcessHost:
    """Hosts a program by calling it; see ``Host``.

    Parameters
    ----------
    name : str
        Of the engine, for messages.
    factory : callable
        Makes the program from ``arguments``.
    movable : str or list of str
        ``auto`` moves every module that is found; paths move those only; ``none`` builds the
        program for use and drops it afterwards.
    unmovable : sequence of Unmovable
        What is let go before the weights leave, and brought back after.
    budget_bytes : int
        What the program takes on the device at work; 0 when nobody said.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[..., Any],
        *,
        arguments: Mapping[str, Any],
        movable: Movable = AUTO,
        unmovable: Sequence[Unmovable] = (),
        budget_bytes: int = 0,
    ) -> None:
        self._name = name
        self._factory = factory
        self._arguments = dict(arguments)
        self._movable = movable
        self._unmovable = tuple(unmovable)
        self._budget_bytes = budget_bytes
        self._loaded: weakref.ref[Loaded] | None = None

    def load(self) -> Loaded:
        """Call the factory and look through what it made; raises ModelLoadFailed."""
        loaded = self._dropped() if self._is_built_late else self._look_through(self._build())
        self._loaded = weakref.ref(loaded)
        return loaded

    def before_offload(self) -> None:
        """Let declared parts go of the device."""
        loaded = self._loaded() if self._loaded else None
        if loaded is not None and loaded.parts is not None:
            loaded.parts.release()

    def is_alive(self, loaded: Loaded) -> bool:
        """Whether it can be called: always, in this process."""
        return True

    def call(
        self,
        loaded: Loaded,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        watcher: CallWatcher | None = None,
    ) -> Any:
        """Call a method of the program; its own errors come as HostedEngineFailed.

        The error that the program raised is the cause of ours.

        Raises
        ------
        HostedEngineFailed, OutOfMemory, JobCanceled
        """
        if loaded.parts is not None:
            loaded.parts.restore()
        if watcher is not None:
            watcher.check_canceled()
        token = _watcher.set(watcher)
        try:
            result = self._method(loaded.program, method)(*args, **kwargs)
        except MeshkilnError:
            raise
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemory(
                f"{self._name} ran out of memory in {method!r}: {_first_line(error)}",
                advice="Send less at once, or let other models leave the GPU first.",
            ) from error
        except Exception as error:
            kind = type(error).__name__
            raise HostedEngineFailed(
                f"{self._name} failed in {method!r}: {kind}: {_first_line(error)}"
            ) from error
        finally:
            _watcher.reset(token)
        if watcher is not None:
            watcher.check_canceled()
        return result

    def status(self) -> dict[str, Any]:
        """Describe what is moved and what is not; empty while nothing is loaded."""
        loaded = self._loaded() if self._loaded else None
        return loaded.facts() if loaded is not None else {}

    def close(self) -> None:
        """Nothing is left: the program went with its last lease."""

    @property
    def _is_built_late(self) -> bool:
        # with a budget its place is promised before it takes it
        return self._movable == NONE and self._budget_bytes > 0

    def _build(self) -> Any:
        return self._factory(**self._arguments)

    def _look_through(self, program: Any) -> Loaded:
        found = survey(program)
        if self._movable == NONE or (self._movable == AUTO and has_quantised(found)):
            return self._dropped(program)
        if self._movable != AUTO or found.roots:
            return MovedProgram(self._name, program, self._movable, self._unmovable)
        if not self._unmovable:
            raise ModelLoadFailed(
                f"{self._name}: no torch module was found in a {type(program).__name__}.",
                advice="Declare an Unmovable with hooks that release and restore what it holds, "
                "or name its modules in 'movable' if they lie deeper than four attributes.",
            )
        parts = UnmovableParts(self._name, program, self._unmovable)
        return HookedProgram(program, parts, self._budget_bytes)

    def _dropped(self, program: Any = None) -> DroppedProgram:
        return DroppedProgram(self._name, self._build, self._unmovable, self._budget_bytes, program)

    def _method(self, program: Any, method: str) -> Callable[..., Any]:
        try:
            found: Callable[..., Any] = resolve(program, method)
        except AttributeError as error:
            raise HostedEngineFailed(
                f"{self._name}: {error}.",
                advice=f"Leave {method!r} out of the engine's methods, or correct its name.",
            ) from error
        return found


def report(done: int, total: int | None = None) -> None:
    """Tell whoever waits for the call at hand how far it is; programs in this process use it.

    Raises
    ------
    JobCanceled
        The call is no longer wanted.
    """
    watcher = _watcher.get()
    if watcher is not None:
        watcher.report(done, total)
        watcher.check_canceled()


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
