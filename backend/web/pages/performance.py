"""The page of the performance: what a job's time goes into, and what would shorten it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from backend.catalog import PipelineName
from backend.jobs.advice_book import recommendations_document
from backend.jobs.busy_clock import BusyClock, busy_clock
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_memo import RunMemo
from backend.profiling.targets import judged_targets
from backend.units import iso
from backend.web.access.own_runs import with_own_jobs
from backend.web.charts.waterfall import waterfall
from backend.web.pages.live_run import live_runs
from backend.web.pages.performance_view import performance_view
from backend.web.pages.run_figures_view import RunFigures, Work, chosen_work, work_of
from backend.web.pages.service import job_service
from backend.web.pages.timelines_view import residency_view, timelines_view
from backend.web.pages.tune_view import install as install_tune
from backend.web.pages.tune_view import tune_view

HISTORY_RUNS = 500


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/performance", endpoint="performance", view_func=show)
    blueprint.add_url_rule("/performance/live", endpoint="performance_live", view_func=live)
    install_tune(blueprint)


def show() -> str:
    """Show the page; the address may carry a kind of work and what is to be compared."""
    live = live_runs(job_service())
    return render_template(
        "pages/performance.html",
        **_current_view(),
        live=live,
        timelines=timelines_view(job_service()),
        tune=tune_view(job_service()),
    )


def live() -> str:
    """The part of the page that changes."""
    return render_template("fragments/perf_update.html", **_current_view())


def performance_document(service: JobService, wanted: Work | None = None) -> dict[str, Any]:
    """Read what the page needs: the last runs, the latest of one work, the queue, the targets.

    Parameters
    ----------
    service : JobService
        Where runs and jobs are kept.
    wanted : Work, optional
        The kind of work to show; by default the one that was used last.
    """
    stored = _stored.of(service.run_history)
    work = chosen_work(stored.figures.works, wanted)
    return {
        "now": iso(service.clock.now()),
        "runs": stored.runs,
        "cut": stored.is_cut,
        "figures": stored.figures,
        "last": stored.last(service.run_history, work),
        "advice": _advice(service, work),
        "busy_clock": _busy_clock(service, stored.runs),
        "queue_depth": service.store.counts().get(JobState.QUEUED, 0),
        "workers": len(service.worker_status()),
        "targets": judged_targets(service.run_history),
    }


class _StoredRuns:
    """The last runs as they stay until another is recorded."""

    def __init__(self, history: RunHistory, before: _StoredRuns | None) -> None:
        found = history.runs(RunFilter(limit=HISTORY_RUNS))
        known = {run["run"]: run for run in before.runs} if before else {}
        # Auto-tune has its own panel; its runs are no work that anybody waits for.
        shown = [run for run in found if run.pipeline != PipelineName.TUNE]
        self.runs: list[dict[str, Any]] = [known.get(run.run) or run.to_row() for run in shown]
        self.is_cut = len(found) == HISTORY_RUNS
        self.figures = RunFigures(self.runs)
        self._last: tuple[Work | None, dict[str, Any] | None] | None = None

    def last(self, history: RunHistory, work: Work | None) -> dict[str, Any] | None:
        """Return the newest run of some work with all of its stages; None if it is gone."""
        known = self._last  # only one is kept: a profile may be large
        if known is None or known[0] != work:
            known = self._last = work, self._read_last(history, work)
        return known[1]

    def _read_last(self, history: RunHistory, work: Work | None) -> dict[str, Any] | None:
        newest = next((run for run in self.runs if work is None or work_of(run) == work), None)
        stored = history.run(newest["run"]) if newest else None
        if stored is None:
            return None
        return {"run": newest, "profile": stored.profile, "chart": waterfall(stored.profile)}


_stored: RunMemo[_StoredRuns] = RunMemo(_StoredRuns)


def _busy_clock(service: JobService, runs: list[dict[str, Any]]) -> BusyClock | None:
    """The clock at which the card of the newest run works."""
    device = runs[0]["device"] if runs else None
    return busy_clock(service.looks.client, service.clock, device) if device else None


def _advice(service: JobService, work: Work | None) -> dict[str, Any]:
    """What to change for one kind of work; without runs it says how many are needed."""
    if work is None:
        return recommendations_document(service)
    return recommendations_document(service, work.pipeline, work.shape_key)


def _current_view() -> dict[str, Any]:
    wanted = _wanted(request.args)
    sides = (request.args.get("before"), request.args.get("after"))
    view = performance_view(performance_document(job_service(), wanted), wanted, sides)
    return view | {
        "runs": with_own_jobs(job_service(), view["runs"]),
        "address": address,
        "residency_map": residency_view(job_service()),
    }


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
