"""The page of the performance: what a job's time goes into, and what would shorten it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.profiling.history import RunFilter
from backend.profiling.targets import judge_targets
from backend.units import iso
from backend.web.pages.live_run import live_runs
from backend.web.pages.performance_view import (
    Work,
    chosen_work,
    counted_works,
    performance_view,
    work_of,
)
from backend.web.pages.service import job_service

HISTORY_RUNS = 500


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/performance", endpoint="performance", view_func=show)
    blueprint.add_url_rule("/performance/live", endpoint="performance_live", view_func=live)


def show() -> str:
    """Show the page; the address may carry a kind of work and what is to be compared."""
    live = live_runs(job_service())
    return render_template("pages/performance.html", **_current_view(), live=live)


def live() -> str:
    """The part of the page that changes."""
    return render_template("fragments/perf_live.html", **_current_view())


def performance_document(service: JobService, wanted: Work | None = None) -> dict[str, Any]:
    """Read what the page needs: the last runs, the latest of one work, the queue, the targets.

    Parameters
    ----------
    service : JobService
        Where runs and jobs are kept.
    wanted : Work, optional
        The kind of work to show; by default the one that was used last.
    """
    found = service.run_history.runs(RunFilter(limit=HISTORY_RUNS))
    runs = [run.to_document() for run in found]
    return {
        "now": iso(service.clock.now()),
        "runs": runs,
        "cut": len(runs) == HISTORY_RUNS,
        "last": _last_run(service, runs, wanted),
        "queue_depth": service.store.counts().get(JobState.QUEUED, 0),
        "workers": len(service.worker_status()),
        "targets": [result.to_document() for result in judge_targets(found)],
    }


def _last_run(
    service: JobService, runs: list[dict[str, Any]], wanted: Work | None
) -> dict[str, Any] | None:
    """The newest run of the work that is shown, with all of its stages."""
    work = chosen_work(counted_works(runs), wanted)
    newest = next((run for run in runs if work is None or work_of(run) == work), None)
    stored = service.run_history.run(newest["run"]) if newest else None
    return {"run": newest, "profile": stored.profile} if stored else None


def _current_view() -> dict[str, Any]:
    wanted = _wanted(request.args)
    sides = (request.args.get("before"), request.args.get("after"))
    view = performance_view(performance_document(job_service(), wanted), wanted, sides)
    return view | {"address": address}


def _wanted(values: Mapping[str, str]) -> Work | None:
    """Read the kind of work from an address; one that nobody ran is passed over later."""
    return Work(values["pipeline"], values.get("shape")) if "pipeline" in values else None


def address(path: str, work: Work | None) -> str:
    """Write the address of a page about one kind of work.

    >>> address("/performance", Work("image_to_3d", None))
    '/performance?pipeline=image_to_3d'
    """
    if work is None:
        return path
    named = {"pipeline": work.pipeline, "shape": work.shape_key}
    return f"{path}?{urlencode({key: text for key, text in named.items() if text is not None})}"
