"""Sends finished runs to an OpenTelemetry collector, after the fact and off the job's thread.

Optional: without the packages, or without an endpoint, nothing is imported and nothing happens.
A span costs about 20 us to make, which is why no stage makes one while it is measured.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backend import __version__
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, Span
from backend.profiling.trace_headers import span_key
from backend.units import MB

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
DISABLED = "OTEL_SDK_DISABLED"
PACKAGE = "opentelemetry.exporter.otlp.proto.http"
NAMESPACE = "meshkiln."
RUNS_WAITING = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Attribute = str | bool | int | float

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRun:
    """A run to be sent.

    Parameters
    ----------
    facts : mapping
        What is known of it beside its profile, JSON-ready; None is left out.
    """

    profile: PipelineProfile
    facts: Mapping[str, Any] = field(default_factory=dict)


class RunExporter:
    """Sends runs from a thread of its own.

    Parameters
    ----------
    exporter : SpanExporter, optional
        By default one that follows the variables of OpenTelemetry.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._exporter = exporter
        self._waiting: queue.Queue[FinishedRun] = queue.Queue(RUNS_WAITING)
        self._has_complained = False
        threading.Thread(target=self._send_all, name="open-telemetry", daemon=True).start()

    def send(self, run: FinishedRun) -> bool:
        """Hand over a run; False if so many wait already that it is dropped. Never waits."""
        try:
            self._waiting.put_nowait(run)
        except queue.Full:
            self._complain("too many runs wait for the collector, some are not sent")
            return False
        return True

    def settle(self) -> None:
        """Wait until everything that was handed over has been sent or given up."""
        self._waiting.join()

    def _send_all(self) -> None:
        while True:
            run = self._waiting.get()
            try:
                self._send(run)
            except Exception:  # the thread must live, and the next run may fare better
                log.exception("a run could not be sent to OpenTelemetry")
            finally:
                self._waiting.task_done()

    def _send(self, run: FinishedRun) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter is None:
            self._exporter = _otlp_exporter()
        result = self._exporter.export(spans_of(run))
        if result is SpanExportResult.SUCCESS:
            self._has_complained = False
        else:
            self._complain("the OpenTelemetry collector did not take a run")

    def _complain(self, text: str) -> None:
        if not self._has_complained:
            log.warning(text)
        self._has_complained = True


def start_export(env: Mapping[str, str] = os.environ) -> RunExporter | None:
    """Start to send runs if a collector is named and the packages are there, else None."""
    if not any(env.get(name) for name in ENDPOINTS) or env.get(DISABLED, "").lower() == "true":
        return None
    try:
        found = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:  # a package around it is absent
        found = None
    if found is None:
        log.warning(
            "a collector is named, but runs are not sent: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        )
        return None
    return RunExporter()


def spans_of(run: FinishedRun, resource: Resource | None = None) -> list[ReadableSpan]:
    """Turn a run into spans: ``pipeline <name>`` and below it ``stage <path>``.

    Trace, span and parent identifiers are those of the run, so that spans of the client that
    submitted the job and those of the run join in one trace.
    """
    made = resource or _resource()
    return [_pipeline_span(run, made), *_stage_spans(run.profile, made)]


def _pipeline_span(run: FinishedRun, resource: Resource) -> ReadableSpan:
    profile = run.profile
    known = {
        "pipeline": profile.pipeline_id,
        "device": profile.device,
        "dropped_spans": profile.dropped_spans or None,
        **profile.metadata,
        **run.facts,
    }
    return _span(
        profile,
        resource,
        name=f"pipeline {profile.pipeline_id}",
        ids=(span_key(profile.key, None), profile.remote_parent),
        interval=(profile.start_ns, profile.end_ns),
        error="the run failed" if profile.status is ProfileStatus.FAILED else None,
        known=known,
    )


def _stage_spans(profile: PipelineProfile, resource: Resource) -> Iterator[ReadableSpan]:
    paths: dict[int, str] = {}
    for span in profile.spans:  # a parent stands before its children
        around = paths.get(span.parent) if span.parent is not None else None
        paths[span.id] = f"{around}/{span.name}" if around else span.name
        yield _span(
            profile,
            resource,
            name=f"stage {paths[span.id]}",
            ids=(span_key(profile.key, span.id), span_key(profile.key, span.parent)),
            interval=_interval(profile, span),
            error=span.error,
            known=_facts_of(span),
        )


def _interval(profile: PipelineProfile, span: Span) -> tuple[int, int]:
    """The wait in the queue lies before the run and is told as it was."""
    return span.start_ns, profile.end_ns if span.end_ns is None else span.end_ns


def _facts_of(span: Span) -> dict[str, Any]:
    return {
        **(span.attributes or {}),
        "kind": span.kind.value,
        "gpu_s": None if span.gpu_ns is None else span.gpu_ns / NS,
        "peak_mb": None if span.peak_bytes is None else span.peak_bytes / MB,
        "unfinished": True if span.end_ns is None else None,
    }


def _span(
    profile: PipelineProfile,
    resource: Resource,
    *,
    name: str,
    ids: tuple[str, str | None],
    interval: tuple[int, int],
    error: str | None,
    known: Mapping[str, Any],
) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(key: str, *, remote: bool) -> SpanContext:
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(int(profile.trace_id, 16), int(key, 16), remote, sampled)

    own, parent = ids
    is_root = own == profile.key
    return ReadableSpan(
        name=name,
        context=context(own, remote=False),
        parent=None if parent is None else context(parent, remote=is_root),
        resource=resource,
        attributes=_attributes(known),
        kind=SpanKind.CONSUMER if is_root else SpanKind.INTERNAL,
        instrumentation_scope=InstrumentationScope("meshkiln", __version__),
        status=Status(StatusCode.ERROR, error) if error else Status(StatusCode.UNSET),
        start_time=_wall_ns(profile, interval[0]),
        end_time=_wall_ns(profile, interval[1]),
    )


def _wall_ns(profile: PipelineProfile, moment_ns: int) -> int:
    """Turn a moment on the clock of the spans into nanoseconds since 1970."""
    started_us = (profile.started_at - _EPOCH) // timedelta(microseconds=1)
    return started_us * 1000 + moment_ns - profile.start_ns


def _attributes(known: Mapping[str, Any]) -> dict[str, Attribute]:
    """Name facts in our namespace; a mapping becomes one attribute per entry."""
    made: dict[str, Attribute] = {}
    for name, value in known.items():
        if isinstance(value, Mapping):
            inner = _attributes({f"{name}.{key}": entry for key, entry in value.items()})
            made.update(inner)
        elif value is not None:
            plain = isinstance(value, str | bool | int | float)
            made[NAMESPACE + name] = value if plain else json.dumps(value, default=str)
    return made


def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource

    told = {"service.version": __version__}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        told["service.name"] = "meshkiln"
    return Resource.create(told)


def _otlp_exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
