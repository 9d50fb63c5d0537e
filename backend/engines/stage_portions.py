"""Turns the reports of several steps of a stage into one count that never falls."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from backend.progress import StageProgress


class StagePortions:
    """Counts through consecutive portions of a stage.

    Parameters
    ----------
    progress : StageProgress
    portions : mapping of str to int
        Steps of each portion, in the order in which they are done.
    before, total : int
        Steps of the stage that were done before them, and all there are.
    """

    def __init__(
        self, progress: StageProgress, portions: Mapping[str, int], before: int, total: int
    ) -> None:
        self._progress = progress
        self._steps = dict(portions)
        ends = accumulate(portions.values(), initial=before)
        self._starts = dict(zip(portions, ends, strict=False))
        self._total = total
        self._most = before

    def tell(self, portion: str, share: float) -> None:
        """Report how much of a portion is done, from 0 to 1; raises JobCanceled."""
        done = self._starts[portion] + int(self._steps[portion] * min(share, 1.0))
        self._most = max(self._most, done)
        self._progress.step(self._most, self._total)
