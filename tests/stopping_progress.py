"""Progress of a job that is canceled after it was asked some times whether it goes on."""

from __future__ import annotations

from backend.errors import JobCanceled
from backend.progress import SilentSink, StageProgress


class StoppingProgress(StageProgress):
    """Counts in ``asked`` how often it was asked, and stops at a certain time."""

    def __init__(self, at: int) -> None:
        super().__init__(SilentSink(), "shape_generation")
        self.asked, self._at = 0, at

    def check_canceled(self) -> None:
        """Raise JobCanceled when it is time."""
        self.asked += 1
        if self.asked == self._at:
            raise JobCanceled
