"""Progress of a call that several jobs share: all are told, and one that stops holds up nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable

from backend.errors import JobCanceled
from backend.progress import SilentSink, StageProgress

log = logging.getLogger(__name__)


class Listener:
    """One job that shares a call.

    Parameters
    ----------
    progress : StageProgress
        Of the job.

    Attributes
    ----------
    has_left : bool
        Whether the job wants the result no more.
    failure : Exception or None
        What its own reports raised; the job fails with it, the others do not.
    """

    def __init__(self, progress: StageProgress) -> None:
        self.progress = progress
        self.has_left = False
        self.failure: Exception | None = None

    @property
    def listens(self) -> bool:
        """Whether it is still to be told."""
        return not self.has_left and self.failure is None


class SharedProgress(StageProgress):
    """What an engine gets that works for several jobs.

    Parameters
    ----------
    stage : str
        Name of the stage they are all in.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(SilentSink(), stage)
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """Let another job share the call."""
        self._listeners.append(listener)

    def step(self, step: int, steps: int) -> None:
        """Tell all of them; raises JobCanceled when none is left."""
        self.check_canceled()
        self._tell(lambda progress: progress.step(step, steps))

    def check_canceled(self) -> None:
        """Raise JobCanceled when nobody waits for a result any more."""
        if not any(listener.listens for listener in self._listeners):
            raise JobCanceled

    def warn(self, message: str) -> None:
        """Tell all of them: the engine does not say whom it means."""
        self._tell(lambda progress: progress.warn(message))

    def engine_chosen(self, role: str, engine: str) -> None:
        """Tell all of them."""
        self._tell(lambda progress: progress.engine_chosen(role, engine))

    def _tell(self, say: Callable[[StageProgress], None]) -> None:
        for listener in self._listeners:
            if not listener.listens:
                continue
            try:
                say(listener.progress)
            except JobCanceled:
                listener.has_left = True  # the job's own thread learns of it by itself
            except Exception as error:  # noqa: BLE001  the others go on
                listener.failure = error
