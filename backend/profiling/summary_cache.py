"""Runs as they were read last: a stored run never changes, so it is read from SQL once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from backend.profiling.run_summary import RunSummary

# A run of six stages takes about 5 KB.
KEPT_SUMMARIES = 2000


class SummaryCache:
    """Keeps the runs that were asked for last.

    Parameters
    ----------
    kept : int
        How many.
    """

    def __init__(self, kept: int = KEPT_SUMMARIES) -> None:
        self._kept = kept
        self._runs: OrderedDict[str, RunSummary] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, names: Iterable[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are kept, by name."""
        with self._lock:
            found = {name: run for name in names if (run := self._runs.get(name)) is not None}
            # The first are the newest and asked for most: they stay the longest.
            for name in reversed(found):
                self._runs.move_to_end(name)
        return found

    def keep(self, runs: Iterable[RunSummary]) -> None:
        """Keep more runs, and let go of those that were not asked for the longest."""
        with self._lock:
            for run in runs:
                self._runs[run.run] = run
                self._runs.move_to_end(run.run)
            while len(self._runs) > self._kept:
                self._runs.popitem(last=False)
