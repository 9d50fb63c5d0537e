"""Runs as spans of OpenTelemetry: identifiers, times, attributes; nothing when not asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from backend.profiling.exports.open_telemetry import (
    RUNS_WAITING,
    FinishedRun,
    RunExporter,
    spans_of,
    start_export,
)
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, Span, SpanKind
from backend.units import MB

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/"}
STARTED = datetime(2026, 11, 21, 12, tzinfo=UTC)
STARTED_NS = int(STARTED.timestamp()) * NS
TRACE, KEY, PARENT = "ab" * 16, "0000000700000000", "00f067aa0ba902b7"


def profile(**fields):
    spans = [
        Span(1, None, "queue", SpanKind.QUEUE, 1, 1 * NS, 3 * NS),
        Span(2, None, "shape", SpanKind.GPU, 1, 4 * NS, 6 * NS, gpu_ns=NS, peak_bytes=512 * MB),
        Span(3, 2, "decode", SpanKind.CPU, 1, 5 * NS, 6 * NS, "ValueError", None, None,
             {"faces": 12, "why": None, "sizes": [1, 2]}),
        Span(4, None, "export", SpanKind.IO, 1, 7 * NS, None),
    ]  # fmt: skip
    base = {
        "pipeline_id": "image_to_3d", "metadata": {"job_id": "j"}, "started_at": STARTED,
        "start_ns": 3 * NS, "end_ns": 8 * NS, "spans": spans, "trace_id": TRACE, "key": KEY,
        "remote_parent": PARENT,
    }  # fmt: skip
    return PipelineProfile(**(base | fields))


@pytest.fixture
def memory():
    exporter = pytest.importorskip(
        "opentelemetry.sdk.trace.export.in_memory_span_exporter",
        reason="opentelemetry-sdk is not installed",
    )
    return exporter.InMemorySpanExporter()


def sent(memory, run):
    exporter = RunExporter(memory)
    assert exporter.send(run)
    exporter.settle()
    return {span.name: span for span in memory.get_finished_spans()}


def test_a_run_becomes_a_tree_of_spans_with_its_own_identifiers(memory):
    spans = sent(memory, FinishedRun(profile()))
    assert list(spans) == [
        "pipeline image_to_3d", "stage queue", "stage shape", "stage shape/decode", "stage export"
    ]  # fmt: skip
    assert {span.context.trace_id for span in spans.values()} == {int(TRACE, 16)}
    root, shape = spans["pipeline image_to_3d"], spans["stage shape"]
    assert root.context.span_id == int(KEY, 16)
    assert root.parent.span_id == int(PARENT, 16)
    assert root.parent.is_remote
    assert shape.parent.span_id == root.context.span_id
    assert shape.context.span_id == int(KEY, 16) + 2
    assert spans["stage shape/decode"].parent.span_id == shape.context.span_id


def test_times_are_those_that_were_measured(memory):
    spans = sent(memory, FinishedRun(profile()))
    offsets = {
        name: ((s.start_time - STARTED_NS) / NS, (s.end_time - STARTED_NS) / NS)
        for name, s in spans.items()
    }
    assert offsets == {
        "pipeline image_to_3d": (0, 5),
        "stage queue": (-2, 0),
        "stage shape": (1, 3),
        "stage shape/decode": (2, 3),
        "stage export": (4, 5),
    }
    assert spans["stage export"].attributes["meshkiln.unfinished"] is True


def test_attributes_stand_in_our_namespace_and_unknown_ones_are_absent(memory):
    facts = {"settings": {"precision": "fp16"}, "engine": {}, "run": "r", "batch_size": None}
    spans = sent(memory, FinishedRun(profile(), facts))
    assert dict(spans["pipeline image_to_3d"].attributes) == {
        "meshkiln.pipeline": "image_to_3d", "meshkiln.job_id": "j", "meshkiln.run": "r",
        "meshkiln.settings.precision": "fp16",
    }  # fmt: skip
    assert dict(spans["stage shape"].attributes) == {
        "meshkiln.kind": "gpu", "meshkiln.gpu_s": 1.0, "meshkiln.peak_mb": 512.0
    }  # fmt: skip
    assert dict(spans["stage shape/decode"].attributes) == {
        "meshkiln.kind": "cpu", "meshkiln.faces": 12, "meshkiln.sizes": "[1, 2]"
    }  # fmt: skip
    assert spans["stage queue"].resource.attributes["service.name"] == "meshkiln"


def test_failures_are_errors(memory):
    spans = sent(memory, FinishedRun(profile(status=ProfileStatus.FAILED)))
    assert not spans["pipeline image_to_3d"].status.is_ok
    assert spans["stage shape/decode"].status.description == "ValueError"
    assert spans["stage shape"].status.is_ok


def test_a_run_without_a_sender_is_a_root(memory):
    spans = sent(memory, FinishedRun(profile(remote_parent=None)))
    assert spans["pipeline image_to_3d"].parent is None


def test_a_run_goes_over_the_wire_as_otlp():
    """The real exporter against a collector of one page."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    bodies = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces")
    try:
        run_exporter = RunExporter(exporter)
        run_exporter.send(FinishedRun(profile()))
        run_exporter.settle()
    finally:
        thread.join(5)
        server.server_close()
        exporter.shutdown()
    request = ExportTraceServiceRequest.FromString(bodies[0])
    spans = request.resource_spans[0].scope_spans[0].spans
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert spans[0].parent_span_id.hex() == PARENT
    assert spans[0].start_time_unix_nano == STARTED_NS


class Stuck:
    """A collector that does not answer until it is let go, and then refuses."""

    def __init__(self):
        self.go = threading.Event()
        self.began = threading.Event()

    def export(self, spans):
        from opentelemetry.sdk.trace.export import SpanExportResult

        self.began.set()
        assert self.go.wait(10)
        return SpanExportResult.FAILURE


@pytest.mark.usefixtures("memory")
def test_a_stuck_collector_delays_nobody_and_is_told_of_once(caplog):
    stuck = Stuck()
    exporter = RunExporter(stuck)
    run = FinishedRun(profile())
    with caplog.at_level(logging.WARNING):
        assert exporter.send(run)
        assert stuck.began.wait(10)
        taken = [exporter.send(run) for _ in range(RUNS_WAITING + 3)]
        assert taken == [True] * RUNS_WAITING + [False] * 3
        stuck.go.set()
        exporter.settle()
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("memory")
def test_a_run_that_cannot_be_sent_does_not_stop_the_next(caplog):
    class FirstFails:
        calls = 0

        def export(self, spans):
            from opentelemetry.sdk.trace.export import SpanExportResult

            self.calls += 1
            if self.calls == 1:
                raise OSError("no route")
            return SpanExportResult.SUCCESS

    target = FirstFails()
    exporter = RunExporter(target)
    exporter.send(FinishedRun(profile()))
    exporter.send(FinishedRun(profile()))
    exporter.settle()
    assert target.calls == 2
    assert "could not be sent" in caplog.text


@pytest.mark.parametrize("env", [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}])
def test_without_a_collector_nothing_starts(env):
    assert start_export(env) is None


def test_without_the_package_nothing_starts_and_the_log_says_how_to_get_it(monkeypatch, caplog):
    def absent(_name):
        raise ModuleNotFoundError

    monkeypatch.setattr("importlib.util.find_spec", absent)
    assert start_export(ENDPOINT) is None
    assert "pip install" in caplog.text


def test_with_both_it_starts():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    assert isinstance(start_export(ENDPOINT), RunExporter)


def test_nothing_of_it_is_imported_unless_runs_are_sent():
    """By us: redis-py imports the API by itself where it is installed."""
    code = (
        "import sys\n"
        "from backend.profiling.exports.open_telemetry import start_export\n"
        "assert start_export({}) is None\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("memory")
def test_thousands_of_spans_keep_their_order():
    many = [Span(n, None, f"s{n}", SpanKind.CPU, 1, n, n + 1) for n in range(1, 2001)]
    spans = spans_of(FinishedRun(profile(spans=many)))
    assert [span.name for span in spans[1:]] == [f"stage s{n}" for n in range(1, 2001)]
