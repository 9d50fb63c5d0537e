"""What stored runs tell, worked out again only after another run was recorded."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from backend.profiling.history import RunHistory

Told = TypeVar("Told")


class RunMemo(Generic[Told]):
    """Keeps the last answer for each history.

    Parameters
    ----------
    work_out : callable
        Makes the answer from the history and the answer before, None at first. Several threads
        may do so at once, and none waits for another. All share what it returns: nobody may
        change it.
    """

    def __init__(self, work_out: Callable[[RunHistory, Told | None], Told]) -> None:
        self._work_out = work_out
        self._lock = threading.Lock()
        self._told: weakref.WeakKeyDictionary[RunHistory, tuple[str | None, Told]] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, history: RunHistory) -> Told:
        """Return what the runs tell, the newest among them."""
        # Read first: a run that is recorded meanwhile makes the answer be worked out once more.
        newest = history.newest()
        with self._lock:
            known = self._told.get(history)
        if known is not None and known[0] == newest:
            return known[1]
        told = self._work_out(history, known[1] if known else None)
        with self._lock:
            self._told[history] = newest, told
        return told
