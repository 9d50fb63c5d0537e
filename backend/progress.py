"""How work reports its progress and learns that it should stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from backend.errors import JobCanceled


class ProgressSink(Protocol):
    """Where a pipeline reports; it knows nothing of who listens."""

    def stage_started(self, stage: str) -> None:
        """A stage begins."""

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """A stage has done ``step`` of ``steps``."""

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """A stage ended well after ``elapsed_s`` seconds."""

    def engine_chosen(self, role: str, engine: str) -> None:
        """The engine that will do ``role`` ('background', 'shape', 'texture')."""

    def artifact(self, name: str, role: str, path: Path) -> None:
        """A file exists and may be shown before the job ends."""

    def warn(self, message: str) -> None:
        """Something the user should know; kept with the job."""

    def is_canceled(self) -> bool:
        """Whether the user asked to stop."""


class SilentSink:
    """Listens to nothing; for calls from Python and for tests."""

    def stage_started(self, stage: str) -> None:
        """Ignore."""

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """Ignore."""

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """Ignore."""

    def engine_chosen(self, role: str, engine: str) -> None:
        """Ignore."""

    def artifact(self, name: str, role: str, path: Path) -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Ignore."""

    def is_canceled(self) -> bool:
        """Never."""
        return False


class StageProgress:
    """What an engine gets: report steps, and stop when asked.

    Parameters
    ----------
    sink : ProgressSink
        Where the reports go.
    stage : str
        Name of the running stage.
    """

    def __init__(self, sink: ProgressSink, stage: str) -> None:
        self._sink = sink
        self.stage = stage

    def step(self, step: int, steps: int) -> None:
        """Report that ``step`` of ``steps`` are done; raises JobCanceled if asked to stop."""
        self.check_canceled()
        self._sink.stage_progress(self.stage, step, steps)

    def check_canceled(self) -> None:
        """Raise JobCanceled when the user asked to stop."""
        if self._sink.is_canceled():
            raise JobCanceled

    def warn(self, message: str) -> None:
        """Tell the user something; kept with the job."""
        self._sink.warn(message)

    def engine_chosen(self, role: str, engine: str) -> None:
        """Tell which engine does ``role``."""
        self._sink.engine_chosen(role, engine)


_heeded: ContextVar[StageProgress | None] = ContextVar("heeded_progress", default=None)


@contextmanager
def heeding(progress: StageProgress) -> Iterator[None]:
    """Let what this thread loads meanwhile stop when ``progress`` says so."""
    before = _heeded.set(progress)
    try:
        yield
    finally:
        _heeded.reset(before)


def stop_if_asked() -> None:
    """Raise JobCanceled when whoever waits for this thread's work asked to stop.

    For long work below the engines, which is handed no progress. Outside of ``heeding`` nobody
    asks.
    """
    progress = _heeded.get()
    if progress is not None:
        progress.check_canceled()
