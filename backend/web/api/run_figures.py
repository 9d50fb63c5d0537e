"""Trends and stage figures of the recorded runs, computed again only after a new run."""

from __future__ import annotations

from typing import Any

from backend.catalog import PipelineName
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_memo import RunMemo
from backend.profiling.run_summary import RunStatus
from backend.profiling.run_trends import stage_figures, trends

RUNS_LOOKED_AT = 1000


def run_figures(history: RunHistory) -> dict[str, Any]:
    """Describe the last runs that succeeded.

    Returns
    -------
    dict
        ``trends`` per kind of work, ``stages`` per stage of it; both empty without runs. A
        percentile is null where there are too few runs to speak of it.
    """
    return _figures.of(history)


def _work_out(history: RunHistory, _: object) -> dict[str, Any]:
    done = history.runs(RunFilter(status=RunStatus.OK, limit=RUNS_LOOKED_AT))
    runs = [run for run in done if run.pipeline != PipelineName.TUNE]  # no work anybody waits for
    return {
        "trends": [trend.to_document() for trend in trends(runs)],
        "stages": [stage.to_document() for stage in stage_figures(runs)],
    }


_figures = RunMemo(_work_out)
