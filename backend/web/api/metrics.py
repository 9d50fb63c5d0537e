"""``/metrics``: the state of the server for Prometheus, from what is stored.

The workers are never asked: this process reads the database and their heartbeats.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app
from sqlalchemy import func, select

from backend import __version__
from backend.catalog import Queue
from backend.jobs.schema import JobRow
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.profiling.exports import live_metrics
from backend.profiling.exports.prometheus import CONTENT_TYPE, Metric, exposition
from backend.web.api.answers import service_of
from backend.web.api.gpu_workers import devices_of, in_order
from backend.web.api.health import age_ms
from backend.web.api.stored_runs import StoredRuns

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Write all metrics."""
    return Response(metrics_text(service_of(current_app.extensions)), content_type=CONTENT_TYPE)


def metrics_text(service: JobService) -> str:
    """Collect and write the metrics of a service."""
    beats = in_order(service.worker_status())
    ages_ms = [age_ms(service, beat.get("sampled_at")) for beat in beats]
    ages_s = [None if age is None else age / 1000 for age in ages_ms]
    return exposition(
        [
            live_metrics.build_metric(__version__),
            *_job_metrics(service),
            live_metrics.worker_count(beats, [queue.value for queue in Queue]),
            *live_metrics.worker_metrics(beats, ages_s),
            *live_metrics.residency_metrics(beats),
            *live_metrics.card_metrics(devices_of(beats)),
            *_stored_runs(service).metrics(),
        ]
    )


def count_stored_runs(app: Flask) -> None:
    """Count the stored runs now, so that the first reader need not wait for it."""
    with app.app_context():
        _stored_runs(service_of(app.extensions)).metrics()


def _stored_runs(service: JobService) -> StoredRuns:
    found: StoredRuns = current_app.extensions.setdefault("meshkiln.runs", StoredRuns(service))
    return found


def _job_metrics(service: JobService) -> list[Metric]:
    waiting = dict.fromkeys((queue.value for queue in Queue), 0)
    is_waiting = (JobRow.status == JobState.QUEUED.value) & ~JobRow.deleted
    code = JobRow.error["code"].as_string()
    with service.store.engine.connect() as connection:
        by_queue = select(JobRow.queue, func.count()).where(is_waiting).group_by(JobRow.queue)
        waiting |= {row[0]: row[1] for row in connection.execute(by_queue)}
        by_code = (
            select(code, func.count()).where(JobRow.status == JobState.FAILED.value).group_by(code)
        )
        failures = {str(row[0]): row[1] for row in connection.execute(by_code)}
    counts = {state.value: count for state, count in service.store.counts().items()}
    return live_metrics.job_metrics(counts, waiting, {"out-of-memory": 0} | failures)
