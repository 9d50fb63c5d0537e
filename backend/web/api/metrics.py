"""``/metrics``: the state of the server for Prometheus, from what is stored.

The workers are never asked: this process reads the database and their heartbeats.
"""

from __future__ import annotations

import threading
from datetime import timedelta

from flask import Blueprint, Response, current_app
from sqlalchemy import func, select

from backend import __version__
from backend.catalog import Queue
from backend.jobs.schema import JobRow
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.profiling.exports import live_metrics
from backend.profiling.exports.prometheus import CONTENT_TYPE, Metric, exposition
from backend.profiling.exports.run_tally import RunTally
from backend.profiling.history import KEPT_RUNS, RunFilter
from backend.profiling.run_table import RUNS
from backend.units import new_id
from backend.web.api.answers import service_of
from backend.web.api.gpu_workers import devices_of, in_order
from backend.web.api.health import age_ms

# Clocks of several machines may disagree by less than this about when a run was stored.
OVERLAP = timedelta(minutes=5)

blueprint = Blueprint("metrics", __name__)


class StoredRuns:
    """Counts the stored runs, each once, and reads only what may be new.

    Parameters
    ----------
    service : JobService
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._tally = RunTally()
        self._newest: str | None = None
        self._floor: str | None = None
        self._lock = threading.Lock()

    def metrics(self) -> list[Metric]:
        """Return the histograms of all runs so far."""
        with self._lock:
            self._look()
            return self._tally.metrics()

    def _look(self) -> None:
        history = self._service.run_history
        newest, now = history.newest(), self._service.clock.now()
        if newest == self._newest:
            return
        if self._floor is None:
            self._tally.count(history.runs(RunFilter(limit=KEPT_RUNS)))
        else:
            found = [history.run(name) for name in self._tally.uncounted(self._names())]
            self._tally.count(stored.summary for stored in found if stored is not None)
        # The first ten characters of a name are the moment when the run was stored.
        self._newest, self._floor = newest, new_id(now - OVERLAP)[:10]
        self._tally.forget_below(self._floor)

    def _names(self) -> list[str]:
        """Names of the runs stored lately."""
        query = select(RUNS.c.id).where(RUNS.c.id >= self._floor)
        with self._service.store.engine.connect() as connection:
            return list(connection.scalars(query))


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
