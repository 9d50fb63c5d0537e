"""Trends and stage figures of the recorded runs, computed again only after a new run."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from backend.catalog import PipelineName
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_summary import RunStatus
from backend.profiling.run_trends import stage_figures, trends

RUNS_LOOKED_AT = 1000

_lock = threading.Lock()
_known: weakref.WeakKeyDictionary[RunHistory, tuple[str | None, dict[str, Any]]] = (
    weakref.WeakKeyDictionary()
)


def run_figures(history: RunHistory) -> dict[str, Any]:
    """Describe the last runs that succeeded.

    Returns
    -------
    dict
        ``trends`` per kind of work, ``stages`` per stage of it; both empty without runs. A
        percentile is null where there are too few runs to speak of it.
    """
    newest = history.newest()
    with _lock:
        known = _known.get(history)
    if known is not None and known[0] == newest:
        return known[1]
    done = history.runs(RunFilter(status=RunStatus.OK, limit=RUNS_LOOKED_AT))
    runs = [run for run in done if run.pipeline != PipelineName.TUNE]  # no work anybody waits for
    figures = {
        "trends": [trend.to_document() for trend in trends(runs)],
        "stages": [stage.to_document() for stage in stage_figures(runs)],
    }
    with _lock:
        _known[history] = newest, figures
    return figures
