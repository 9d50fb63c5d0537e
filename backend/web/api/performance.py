"""``/api/performance/*``: what the last runs took, and what follows from it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, current_app, request

from backend.jobs.advice_book import recommendations_document
from backend.jobs.history import StageStatistics
from backend.jobs.service import JobService
from backend.profiling.bottlenecks import THRESHOLD_PERCENT, severity_of
from backend.profiling.statistics import summarise
from backend.units import iso
from backend.web.api.answers import json_answer, service_of
from backend.web.api.run_figures import run_figures
from backend.web.json_body import wrong_field

MAX_TEXT = 400

blueprint = Blueprint("performance", __name__, url_prefix="/api/performance")


@blueprint.get("/summary")
def summary() -> Response:
    """Whole runs, stages and bottlenecks."""
    return json_answer(performance_summary(service_of(current_app.extensions)))


@blueprint.get("/recommendations")
def recommendations() -> Response:
    """Advice that the measured runs support; empty, and says so, before there are enough."""
    service = service_of(current_app.extensions)
    pipeline, shape_key = _text("pipeline"), _text("shape_key")
    if pipeline is None and shape_key is not None:
        raise wrong_field("pipeline", "must be named with shape_key")
    return json_answer(recommendations_document(service, pipeline, shape_key))


def performance_summary(service: JobService) -> dict[str, Any]:
    """Summarise the last runs; null where nothing, or too little, was measured, never zero."""
    totals = service.store.history.run_statistics().totals_s
    figures: dict[str, float | None] = asdict(summarise(totals)) if totals else {}
    stages = service.store.history.stage_statistics()
    runs = max((stage.runs for stage in stages), default=0)
    document = {
        "total_pipelines": len(totals),
        "avg_duration_seconds": _rounded(figures.get("mean")),
        "min_duration_seconds": _rounded(min(totals, default=None)),
        "max_duration_seconds": _rounded(figures.get("max")),
        "p50_duration_seconds": _rounded(figures.get("p50")),
        "p95_duration_seconds": _rounded(figures.get("p95")),
        "stage_breakdown": {_key(stage, stages): _breakdown(stage) for stage in stages},
        "bottlenecks": [_bottleneck(s) for s in stages if s.share_pct >= THRESHOLD_PERCENT],
        "stage_runs": runs,
        **run_figures(service.run_history),
        "timestamp": iso(service.clock.now()),
    }
    return document if totals else document | {"error": "No pipeline runs recorded yet"}


def severity(share_pct: float) -> str:
    """Name a share of the run.

    >>> severity(41.0), severity(31.0), severity(21.0)
    ('critical', 'high', 'medium')
    """
    return severity_of(share_pct).value


def _text(name: str) -> str | None:
    return (request.args.get(name) or "")[:MAX_TEXT] or None


def _breakdown(stage: StageStatistics) -> dict[str, Any]:
    return {
        "pipeline": stage.pipeline,
        "occurrences": stage.runs,
        "p50_seconds": _rounded(stage.p50_s),
        "max_seconds": _rounded(stage.max_s),
        "avg_percent": round(stage.share_pct, 1),
    }


def _bottleneck(stage: StageStatistics) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "pipeline": stage.pipeline,
        "avg_percent": round(stage.share_pct, 1),
        "severity": severity(stage.share_pct),
        "avg_duration_seconds": _rounded(stage.mean_s),
        "p50_duration_seconds": _rounded(stage.p50_s),
        "occurrences": stage.runs,
    }


def _key(stage: StageStatistics, stages: list[StageStatistics]) -> str:
    """Name a stage; with its pipeline where two pipelines share the name."""
    shared = sum(other.stage == stage.stage for other in stages) > 1
    return f"{stage.pipeline}/{stage.stage}" if shared else stage.stage


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
