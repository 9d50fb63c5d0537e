"""How fast do the views of stored runs answer, at rest and after every new run?

Each is compared with an answer for which all runs are read anew. Both must say the same.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from flask import Flask
from flask.testing import FlaskClient

from backend.jobs.run_recording import settings_on_record
from backend.jobs.service import JobService
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from backend.runtime_settings import started_with
from backend.settings import Settings
from backend.units import SystemClock
from backend.web.app import create_app
from bench.record import Figure, report

REST_GATE_MS, NEW_RUN_GATE_MS = 20.0, 40.0
FRESH = 10
SERVICE = "meshkiln"  # where the app keeps it
STAGES = ("preprocess", "denoise", "decode", "simplify", "texture", "mesh_export")
PARTS = 6
ON_GPU = ("denoise", "decode")
DEVICE = "NVIDIA H200"
WORKS = 4
VIEWS = {
    "/performance": "/performance",
    "/performance/live": "/performance/live",
    "recommendations": "/api/performance/recommendations",
    "summary": "/api/performance/summary",
    "targets": "/api/performance/targets",
}
# Moments and tokens differ from answer to answer.
VARYING = re.compile(r'"timestamp":\s*"[^"]*"|(nonce|value|content|data-csrf)="[^"]*"')


def stage_span(number: int, name: str, at_ns: int, stage_ns: int) -> Span:
    """Make a stage; those on the GPU tell their time, memory and work there."""
    end_ns = at_ns + stage_ns
    if name not in ON_GPU:
        return Span(number, None, name, SpanKind.CPU, 1, at_ns, end_ns)
    work = {"flop": 4e14, "moved_bytes": 2e12, "dtype": "fp16", "calls": 30}
    gpu_ns, peak_bytes = 9 * stage_ns // 10, 6 * 2**30
    return Span(number, None, name, SpanKind.GPU, 1, at_ns, end_ns, None, gpu_ns, peak_bytes, work)


def part_span(number: int, parent: int, part: tuple[str, int], begin_ns: int, end_ns: int) -> Span:
    """Make a part of a stage; the first two of a stage on the GPU tell what they did."""
    name, place = part
    label, told = f"{name}_{place}", name in ON_GPU and place < 2
    notes = {"facts": {"loop": {"steps": 30, "fewer_steps": 20, "forwards_per_step": 2}}}
    return Span(number, parent, label, SpanKind.CPU, 1, begin_ns, end_ns,
                attributes=notes if told else None)  # fmt: skip


def run_profile(number: int, age: timedelta) -> PipelineProfile:
    """Make the profile of a run that began so long ago, with parts inside each stage."""
    spans: list[Span] = []
    at_ns = 0
    for place, name in enumerate(STAGES):
        stage_ns = (1 + place) * NS + number * 7919 % 97 * 1_000_000
        parent = len(spans) + 1
        spans.append(stage_span(parent, name, at_ns, stage_ns))
        for part in range(PARTS):
            begin_ns, end_ns = (at_ns + stage_ns * n // PARTS for n in (part, part + 1))
            spans.append(part_span(len(spans) + 1, parent, (name, part), begin_ns, end_ns))
        at_ns += stage_ns
    began = SystemClock().now() - age
    return PipelineProfile("image_to_3d", {}, began, 0, at_ns, spans, device=DEVICE)


def record(service: JobService, number: int, age: timedelta) -> None:
    """Store a run that had the settings of now."""
    service.run_history.record(
        run_profile(number, age), job_id=None, pipeline="image_to_3d",
        engine={"shape": "inflate"}, shape_key=f"image_to_3d:{number % WORKS}", batch_size=1,
        settings=settings_on_record(service.settings) | started_with(service.settings),
        status=RunStatus.OK,
    )  # fmt: skip


@contextmanager
def stored_runs(count: int) -> Iterator[JobService]:
    """Open a server's data with so many runs, a minute between two."""
    with tempfile.TemporaryDirectory() as folder:
        service = JobService(Settings(data_dir=Path(folder), disk_floor_mb=1))
        for number in range(count):
            record(service, number, timedelta(minutes=count - number))
        yield service
        service.close()


def answer_ms(client: FlaskClient, address: str) -> tuple[float, str]:
    """Time one answer in milliseconds; also returns it without what always differs."""
    started_s = time.perf_counter()
    answer = client.get(address)
    elapsed_ms = 1000 * (time.perf_counter() - started_s)
    if answer.status_code != 200 or len(answer.text) < 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return elapsed_ms, VARYING.sub("", answer.text)


def anew(app: Flask, address: str) -> tuple[float, str]:
    """Time an answer of the same server with nothing known of its runs."""
    known: JobService = app.extensions[SERVICE]
    app.extensions[SERVICE] = fresh = JobService(known.settings)
    try:
        return answer_ms(app.test_client(), address)
    finally:
        app.extensions[SERVICE] = known
        fresh.close()


def measured(service: JobService, app: Flask, name: str, asks: int) -> list[Figure]:
    """Time one view: read anew, at rest, and after each of some new runs."""
    address, client = VIEWS[name], app.test_client()
    answer_ms(client, address)
    fresh_ms = [anew(app, address)[0] for _ in range(FRESH)]
    rest_ms = [answer_ms(client, address)[0] for _ in range(asks)]
    new_run_ms = []
    for number in range(asks // 4):
        record(service, number, timedelta(seconds=30))
        elapsed_ms, text = answer_ms(client, address)
        new_run_ms.append(elapsed_ms)
    if text != anew(app, address)[1]:
        raise RuntimeError(f"{address} does not say what the stored runs say")
    whole_ms = median(fresh_ms)
    return [
        Figure.of(f"{name}: all runs read anew", "ms", fresh_ms),
        Figure.of(f"{name}: later", "ms", rest_ms, whole_ms),
        Figure.of(f"{name}: after a new run", "ms", new_run_ms, whole_ms),
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--asks", type=int, default=80)
    args = parser.parse_args()
    with stored_runs(args.runs) as service:
        app = create_app(service=service)
        first = {name: answer_ms(app.test_client(), address)[0] for name, address in VIEWS.items()}
        figures = [Figure.of(f"{name}: first", "ms", [ms]) for name, ms in first.items()]
        for name in VIEWS:
            figures += measured(service, app, name, args.asks)
    gates = {"gate_later_ms": REST_GATE_MS, "gate_new_run_ms": NEW_RUN_GATE_MS}
    report("performance_page", figures, {"runs": args.runs, **gates}, args.json)


if __name__ == "__main__":
    main()
