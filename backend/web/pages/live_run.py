"""What runs at this moment, stage by stage, beside what such a job usually takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import redis
from flask import Blueprint, render_template

from backend.jobs.events import FROM_START, Event
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.jobs.shape_key import shape_key_of
from backend.jobs.states import EventType, JobState, StageState
from backend.jobs.store import JobFilter
from backend.profiling.history import RunFilter
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import NS, SpanKind
from backend.web.charts.waterfall import Waterfall, waterfall
from backend.web.pages.service import job_service

SHOWN_JOBS = 4
USUAL_RUNS = 20
QUEUE, UNKNOWN_KIND = "queue", "unknown"


@dataclass(frozen=True)
class LiveRun:
    """A running job as it is drawn.

    Parameters
    ----------
    elapsed_s : float
        Since the worker took it up.
    usual_s : float or None
        Median of the last runs of like work; None without any.
    usual_n : int
        How many those are.
    """

    job: JobRecord
    chart: Waterfall
    elapsed_s: float
    usual_s: float | None
    usual_n: int


def install(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/performance/now", endpoint="performance_now", view_func=show_now)


def show_now() -> str:
    """The part of the performance page that follows the running jobs."""
    return render_template("fragments/perf_now.html", live=live_runs(job_service()))


def live_runs(service: JobService) -> list[LiveRun]:
    """Describe the jobs that run now, at most four."""
    running = service.store.list(
        JobFilter(status=JobState.RUNNING, listed_only=False, limit=SHOWN_JOBS)
    )
    return [_live_run(service, job) for job in running.items if job.started_at is not None]


def _live_run(service: JobService, job: JobRecord) -> LiveRun:
    now = service.clock.now()
    runs = service.run_history.runs(
        RunFilter(
            pipeline=job.pipeline,
            shape_key=shape_key_of(service.store.engine, job),
            status=RunStatus.OK,
            limit=USUAL_RUNS,
        )
    )
    kinds = {stage.name: stage.kind for run in runs[:1] for stage in run.stages}
    document = live_document(job, _events(service, job.id), now, kinds)
    if runs:
        document["device"] = runs[0].device
    usual_s = median(run.total_s for run in runs) if runs else None
    elapsed_s = (document["end_ns"] - document["start_ns"]) / NS
    return LiveRun(job, waterfall(document), elapsed_s, usual_s, len(runs))


def live_document(
    job: JobRecord,
    events: Sequence[Event],
    now: datetime,
    kinds: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a running job as the profile it has so far.

    Parameters
    ----------
    events : sequence of Event
        Those of the job; the stages of its newest attempt count.
    now : datetime
        Where the stage that still runs is drawn to.
    kinds : mapping, optional
        What each stage spent its time on in an earlier run; events do not tell.

    Returns
    -------
    dict
        A profile document; times in nanoseconds since the worker took the job up.
    """
    began, known = job.started_at or now, kinds or {}
    spans = [_span(0, QUEUE, SpanKind.QUEUE, -_ns(job.created_at, began), 0)]
    starts: dict[str, int] = {}
    for event in events:
        if event.type is EventType.STATE and event.data.get("status") == JobState.RUNNING:
            starts, spans = {}, spans[:1]
        if event.type is not EventType.STAGE:
            continue
        name, at_ns = event.data["name"], _ns(began, datetime.fromisoformat(event.ts))
        if event.data["status"] == StageState.RUNNING:
            starts[name] = at_ns
        elif name in starts:
            end_ns = starts[name] + round((event.data["elapsed_s"] or 0.0) * NS)
            kind = known.get(name, UNKNOWN_KIND)
            spans.append(_span(len(spans), name, kind, starts.pop(name), end_ns))
    spans += [
        _span(len(spans) + at, name, known.get(name, UNKNOWN_KIND), start_ns, None)
        for at, (name, start_ns) in enumerate(starts.items())
    ]
    return {"start_ns": 0, "end_ns": max(1, _ns(began, now)), "dropped_spans": 0, "spans": spans}


def _events(service: JobService, job_id: str) -> list[Event]:
    """Read the job's events; none when Redis is away."""
    try:
        return service.looks.read_after(job_id, FROM_START)
    except redis.RedisError:
        return []


def _span(
    number: int, name: str, kind: str, start_ns: int, end_ns: int | None
) -> Mapping[str, Any]:
    return {
        "id": number,
        "parent": None,
        "name": name,
        "kind": str(kind),
        "start_ns": start_ns,
        "end_ns": end_ns,
    }


def _ns(since: datetime, until: datetime) -> int:
    return max(0, round((until - since).total_seconds() * NS))
