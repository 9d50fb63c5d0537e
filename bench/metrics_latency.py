"""How fast does /metrics answer with thousands of stored runs?

The first answer of all counts every run and keeps the counts; after a restart the server goes on
from there, and later answers read what came since.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import delete, inspect

from backend.jobs.measurements import TABLE
from backend.jobs.service import JobService
from backend.profiling.spans import PipelineProfile, Span, SpanKind
from backend.settings import Settings
from backend.units import SystemClock
from backend.web.app import create_app
from bench.record import Figure, report

GATE_MS = 20.0
STARTS = 10
STAGES = ("load", "cut_out", "shape", "decode", "repair", "texture", "export")


def run_profile(age: timedelta) -> PipelineProfile:
    """Make the profile of a run that began so long ago."""
    spans = [
        Span(n, None, name, SpanKind.CPU, 1, n * 10**9, (n + 1) * 10**9)
        for n, name in enumerate(STAGES, start=1)
    ]
    return PipelineProfile("image_to_3d", {}, SystemClock().now() - age, 0, 9 * 10**9, spans)


def record(service: JobService, age: timedelta) -> None:
    """Store a run."""
    service.run_history.record(
        run_profile(age), job_id=None, pipeline="image_to_3d", engine={"shape": "inflate"},
        settings={"precision": "fp16"}, shape_key="256", batch_size=1,
    )  # fmt: skip


@contextmanager
def stored_runs(count: int) -> Iterator[JobService]:
    """Open a server's data with so many runs, half of them within the last half hour."""
    with tempfile.TemporaryDirectory() as folder:
        service = JobService(Settings(data_dir=Path(folder), disk_floor_mb=1))
        for number in range(count):
            recent = number % 2 == 0
            record(service, timedelta(seconds=number % 1500) + timedelta(hours=0 if recent else 5))
        yield service
        service.close()


def forget_counts(service: JobService) -> None:
    """Drop what an earlier process counted."""
    with service.store.writer.begin() as connection:
        if inspect(connection).has_table(TABLE.name):
            connection.execute(delete(TABLE))


def answer_ms(client: FlaskClient) -> float:
    """Time one answer in milliseconds."""
    started_s = time.perf_counter()
    answer = client.get("/metrics")
    elapsed_ms = 1000 * (time.perf_counter() - started_s)
    if answer.status_code != 200 or "meshkiln_stage_seconds_count" not in answer.text:
        raise RuntimeError(f"/metrics answered {answer.status_code} without the stored runs")
    return elapsed_ms


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--asks", type=int, default=200)
    args = parser.parse_args()
    with stored_runs(args.runs) as service:
        apps = [create_app(service=service) for _ in range(2 * STARTS)]
        first = []
        for app in apps[:STARTS]:
            forget_counts(service)
            first.append(answer_ms(app.test_client()))
        restarted = [answer_ms(app.test_client()) for app in apps[STARTS:]]
        client = apps[0].test_client()
        at_rest = [answer_ms(client) for _ in range(args.asks)]
        after_a_run = []
        for _ in range(args.asks // 4):
            record(service, timedelta(seconds=9))
            after_a_run.append(answer_ms(client))
    figures = [
        Figure.of("first answer of all", "ms", first),
        Figure.of("first answer after a restart", "ms", restarted),
        Figure.of("later answers", "ms", at_rest),
        Figure.of("answers after a new run", "ms", after_a_run),
    ]
    report("metrics_latency", figures, {"runs": args.runs, "gate_ms": GATE_MS}, args.json)


if __name__ == "__main__":
    main()
