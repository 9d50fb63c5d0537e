"""Where a managed engine's program lives: in this process, or in one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class CallWatcher(Protocol):
    """Hears how far a call is, and says whether it is still wanted."""

    def check_canceled(self) -> None:
        """Raise JobCanceled when the user asked to stop."""

    def report(self, done: int, total: int | None = None) -> None:
        """Take a step of a call; ``total`` is None where nobody knows it."""


class Host(Protocol):
    """Loads the program, and calls it while a lease holds it on the device."""

    def load(self) -> Any:
        """Bring the program up with its weights in host memory.

        Returns
        -------
        object
            What the residency manager moves: modules in a collection, or a ``SelfMoving``. It is
            given back to ``call`` and ``is_alive``, and dropped when the model is released.

        Raises
        ------
        ModelLoadFailed, EngineUnavailable
        """

    def before_offload(self) -> None:
        """Let go of what holds device memory or addresses beside the weights."""

    def is_alive(self, loaded: Any) -> bool:
        """Whether a call can reach what was loaded; a process may have died while idle."""

    def call(
        self,
        loaded: Any,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        watcher: CallWatcher | None = None,
    ) -> Any:
        """Call a method of the program, arguments passed through untouched.

        Raises
        ------
        HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent, OutOfMemory, JobCanceled
        """

    def status(self) -> dict[str, Any]:
        """Describe the program, JSON-ready: what is moved and what not, process, cache."""

    def close(self) -> None:
        """End what is left of it; nothing is loaded any more."""
