"""What a program holds beside its modules: let go before the weights leave, brought back after."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import HostedEngineFailed, ModelLoadFailed
from backend.residency.guest.module_roots import resolve

AUTO, NONE = "auto", "none"
Movable = str | Sequence[str]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unmovable:
    """A declaration: this cannot be moved, and here is how it lets go of the device.

    Parameters
    ----------
    path : str
        From the program, such as ``codec.session``; empty for the program itself, whose KV cache
        a release drops.
    release : callable
        Called with what is at the path before the weights leave the device.
    restore : callable, optional
        Called with it before the next call after they came back.
    """

    path: str
    release: Callable[[Any], None]
    restore: Callable[[Any], None] | None = None


class UnmovableParts:
    """The declared parts of one loaded program.

    Parameters
    ----------
    program : object
        The loaded program.

    Raises
    ------
    ModelLoadFailed
        A declared path leads nowhere.
    """

    def __init__(self, name: str, program: Any, declared: Sequence[Unmovable]) -> None:
        self._name = name
        self._program = program
        self._declared = declared
        self._away: list[Unmovable] = []
        self._lock = threading.Lock()
        for part in declared:
            self._find(part)

    def release(self) -> None:
        """Let every part go; a fault in one keeps neither the others nor the weights there."""
        with self._lock:
            for part in self._declared:
                if part in self._away:
                    continue
                self._away.append(part)
                try:
                    part.release(resolve(self._program, part.path))
                except Exception:
                    log.exception("%s: %r could not let go of the device", self._name, part.path)

    def restore(self) -> None:
        """Bring back what was let go; a part whose fault this is comes next time.

        Raises
        ------
        HostedEngineFailed
        """
        with self._lock:
            for part in list(self._away):
                if part.restore is not None:
                    self._bring_back(part, part.restore)
                self._away.remove(part)

    def _bring_back(self, part: Unmovable, restore: Callable[[Any], None]) -> None:
        try:
            restore(self._find(part))
        except Exception as error:
            raise HostedEngineFailed(
                f"{self._name}: {part.path or 'the program'!r} could not be brought back: {error}"
            ) from error

    def _find(self, part: Unmovable) -> Any:
        try:
            return resolve(self._program, part.path)
        except AttributeError as error:
            raise ModelLoadFailed(
                f"{self._name}: {error}.",
                advice="Correct the path of this Unmovable, or leave it out.",
            ) from error
