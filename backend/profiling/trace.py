"""A pipeline while it runs: takes its spans and makes its profile at the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from backend.profiling.device_watch import DEVICE_WATCH, DeviceWatch
from backend.profiling.spans import PipelineProfile, ProfileStatus, Span, SpanKind
from backend.profiling.trace_headers import RemoteParent, new_run_key, new_trace_id
from backend.units import Clock, SystemClock

SPAN_LIMIT = 2000


class Trace:
    """A pipeline that runs.

    Parameters
    ----------
    pipeline_id : str
    metadata : mapping, optional
        JSON-ready facts about the run.
    remote : RemoteParent, optional
        The span in another process that caused this run.
    clock_ns : callable
        Monotonic clock of the spans in nanoseconds.
    clock : Clock, optional
        Tells when the run started.
    span_limit : int
        Stages kept, to bound the memory. The first ones are, and as many more at the top level;
        how many were not kept is counted.
    watch : DeviceWatch
        Measures stages on the GPU.

    Attributes
    ----------
    spans : list of Span
        In order of their start.
    profile : PipelineProfile or None
        Set when the run has ended.
    outer : Place or None
        Where the pipeline was opened.
    """

    __slots__ = (
        "_before", "_ids", "_late", "_lock", "_started_at", "clock_ns",
        "dropped", "key", "metadata", "outer", "pipeline_id", "profile", "remote", "span_id",
        "span_limit", "spans", "start_ns", "trace", "trace_id", "watch",
    )  # fmt: skip

    def __init__(
        self,
        pipeline_id: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        remote: RemoteParent | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        clock: Clock | None = None,
        span_limit: int = SPAN_LIMIT,
        watch: DeviceWatch = DEVICE_WATCH,
    ) -> None:
        self.pipeline_id = pipeline_id
        self.metadata = dict(metadata or {})
        self.clock_ns = clock_ns
        self.span_limit = span_limit
        self.spans: list[Span] = []
        self.dropped = 0
        self.profile: PipelineProfile | None = None
        self.trace: Trace = self
        self.span_id: int | None = None
        self.outer: Place | None = None
        self.remote = remote
        self.trace_id = remote.trace_id if remote else new_trace_id()
        self.key = new_run_key()
        self._ids = itertools.count(1)
        self._late = 0
        self._lock = threading.Lock()
        self.watch = watch
        self._before = watch.counters()
        self._started_at = (clock or SystemClock()).now()
        self.start_ns = clock_ns()

    def open_span(
        self, parent: int | None, name: str, kind: SpanKind, attributes: dict[str, Any] | None
    ) -> Span | None:
        """Keep a span that starts at 0; None if there are too many."""
        number = next(self._ids)
        if number > self.span_limit and not self._keeps_late(parent):
            return None
        span = Span(
            number, parent, name, kind, threading.get_ident(), 0, None, None, None, None, attributes
        )
        self.spans.append(span)
        return span

    def add_span(
        self,
        name: str,
        kind: SpanKind,
        start_ns: int,
        end_ns: int,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Add a top-level span that was measured elsewhere, such as the wait in the queue."""
        span = self.open_span(None, name, kind, attributes)
        if span is not None:
            span.start_ns, span.end_ns = start_ns, end_ns

    def finish(self, status: ProfileStatus | None = None) -> PipelineProfile:
        """End the run; stages that still run are kept as unfinished.

        Parameters
        ----------
        status : ProfileStatus, optional
            Failed if the last top-level stage failed, unless given.
        """
        if self.profile is not None:
            return self.profile
        end_ns = self.clock_ns()
        device, allocator = self.watch.settle(self._before)
        spans = [span if span.end_ns is not None else replace(span) for span in self.spans]
        self.profile = PipelineProfile(
            pipeline_id=self.pipeline_id,
            metadata=self.metadata,
            started_at=self._started_at,
            start_ns=self.start_ns,
            end_ns=end_ns,
            spans=spans,
            status=status or _status_of(spans),
            device=device,
            allocator=allocator,
            trace_id=self.trace_id,
            key=self.key,
            remote_parent=self.remote.span_key if self.remote else None,
            dropped_spans=self.dropped,
        )
        return self.profile

    def _keeps_late(self, parent: int | None) -> bool:
        with self._lock:
            if parent is None and self._late < self.span_limit:
                self._late += 1
                return True
            self.dropped += 1
            return False


class Place(Protocol):
    """Where a stage is opened: in a pipeline, or in another stage."""

    trace: Trace
    span_id: int | None


def _status_of(spans: list[Span]) -> ProfileStatus:
    last = next((span for span in reversed(spans) if span.parent is None), None)
    return ProfileStatus.FAILED if last is not None and last.error else ProfileStatus.OK
