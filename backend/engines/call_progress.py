"""Tells the progress of a hosted program's call as that of a stage."""

from __future__ import annotations

from backend.progress import StageProgress


class CallProgress:
    """A ``CallWatcher`` that reports to a stage.

    Parameters
    ----------
    progress : StageProgress
        Hears of steps whose number is known; where it is not, none are made up.
    """

    def __init__(self, progress: StageProgress) -> None:
        self._progress = progress

    def check_canceled(self) -> None:
        """Raise JobCanceled when the user asked to stop."""
        self._progress.check_canceled()

    def report(self, done: int, total: int | None = None) -> None:
        """Take a step of the call."""
        if total:
            self._progress.step(min(done, total), total)
        else:
            self._progress.check_canceled()
