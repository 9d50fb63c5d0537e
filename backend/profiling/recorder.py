"""Records what stages cost: nested, repeated, in concurrent pipelines, threads and processes.

A pipeline is in force in the context (``contextvars``) that opened it: in this thread or task
and in the tasks it starts, but in a thread pool only through ``wrap``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from backend.profiling.device_watch import WatchedStage
from backend.profiling.nvtx_ranges import CloseRange, OpenRange, nvtx_ranges
from backend.profiling.spans import PipelineProfile, ProfileStatus, Span, SpanKind
from backend.profiling.trace import Place, Trace
from backend.profiling.trace_headers import (
    Headers,
    RemoteParent,
    read_headers,
    span_key,
    write_headers,
)

ON_DEVICE = frozenset({SpanKind.GPU, SpanKind.LOAD})
NOT_KEPT = -1

P = ParamSpec("P")
R = TypeVar("R")
Listener = Callable[[PipelineProfile], None]

log = logging.getLogger(__name__)


_place: ContextVar[Place | None] = ContextVar("profiled_place", default=None)
_remote: ContextVar[RemoteParent | None] = ContextVar("remote_parent", default=None)
_listeners: list[Listener] = []
_open_range: OpenRange | None = nvtx_ranges()


class Stage:
    """A stage that runs; made by ``profile_stage``."""

    __slots__ = (
        "_attributes", "_close_range", "_kind", "_name", "_outer", "_span", "_watched",
        "span_id", "trace",
    )  # fmt: skip

    def __init__(
        self, outer: Place, name: str, kind: SpanKind, attributes: dict[str, Any] | None
    ) -> None:
        self._outer = outer
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._watched: WatchedStage | None = None
        self._close_range: CloseRange | None = None
        self.trace: Trace = outer.trace

    def __enter__(self) -> None:
        trace = self.trace
        span = trace.open_span(self._outer.span_id, self._name, self._kind, self._attributes)
        self._span = span
        self.span_id: int | None = NOT_KEPT if span is None else span.id
        _place.set(self)
        if span is not None:
            if self._kind in ON_DEVICE:
                self._watched = trace.watch.start(span)
            if _open_range is not None:
                self._close_range = _open_range(self._name)
            span.start_ns = trace.clock_ns()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        span = self._span
        if span is not None:
            span.end_ns = self.trace.clock_ns()
            if kind is not None:
                span.error = kind.__name__
            if self._watched is not None:
                self.trace.watch.stop(self._watched)
            if self._close_range is not None:
                self._close_range()
        # A generator may be closed in a context that never was inside this stage.
        if _place.get() is self:
            _place.set(self._outer)


class _Off:
    """Stands for a stage where no pipeline is recorded."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *failure: object) -> None:
        return None


_OFF = _Off()


def profile_stage(
    name: str, kind: SpanKind = SpanKind.CPU, attributes: dict[str, Any] | None = None
) -> Stage | _Off:
    """Measure the block as a stage of the pipeline in force; without one do nothing.

    Parameters
    ----------
    kind : SpanKind
        ``gpu`` and ``load`` also measure time and memory on the GPU if torch uses one.
    attributes : dict, optional
        JSON-ready facts about this run of the stage.
    """
    place = _place.get()
    if place is None or place.trace.profile is not None:
        return _OFF
    return Stage(place, name, kind, attributes)


def start_pipeline(pipeline_id: str, **options: Any) -> Trace:
    """Put a new pipeline in force here; options as those of ``Trace``.

    A pipeline that is in force already is in force again after ``end_pipeline``.
    """
    trace = Trace(pipeline_id, remote=_remote.get(), **options)
    trace.outer = _place.get()
    _place.set(trace)
    return trace


def end_pipeline(status: ProfileStatus | None = None) -> PipelineProfile | None:
    """End the pipeline in force here and tell the listeners; None when there is none."""
    trace = current_trace()
    if trace is None:
        return None
    _place.set(trace.outer)
    if trace.profile is not None:
        return None
    profile = trace.finish(status)
    for listener in tuple(_listeners):
        _tell(listener, profile)
    return profile


def current_trace() -> Trace | None:
    """Return the pipeline in force here."""
    place = _place.get()
    return None if place is None else place.trace


def innermost_span() -> Span | None:
    """Return the innermost stage open here that is kept; None when there is none."""
    place = _place.get()
    if place is None or place.trace.profile is not None:
        return None
    while isinstance(place, Stage):
        if place._span is not None:
            return place._span
        place = place._outer
    return None


@contextmanager
def record_pipeline(
    pipeline_id: str, metadata: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[Trace]:
    """Record the stages inside the block as a pipeline of their own.

    Yields
    ------
    Trace
        Its ``profile`` is set when the block ends.
    """
    trace = start_pipeline(pipeline_id, metadata=metadata, **options)
    status = ProfileStatus.FAILED
    try:
        yield trace
        status = ProfileStatus.OK
    finally:
        _place.set(trace)
        end_pipeline(status)


class StageTimes:
    """The stages that ran directly inside a block."""

    def __init__(self, trace: Trace, parent: int | None) -> None:
        self._trace = trace
        self._parent = parent
        self._since = len(trace.spans)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by name in order of the first start; repeats are summed."""
        times: dict[str, float] = {}
        for span in self._trace.spans[self._since :]:
            if span.parent == self._parent and span.elapsed_s is not None:
                times[span.name] = times.get(span.name, 0.0) + span.elapsed_s
        return times


@contextmanager
def join_pipeline(pipeline_id: str) -> Iterator[StageTimes]:
    """Record into the pipeline in force, or into one of its own when there is none."""
    place = _place.get()
    if place is not None and place.trace.profile is None:
        yield StageTimes(place.trace, place.span_id)
        return
    with record_pipeline(pipeline_id) as trace:
        yield StageTimes(trace, None)


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """Carry the pipeline and stage in force here into whatever thread calls the function."""
    captured = copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered only once at a time, a pool may call concurrently.
        return captured.copy().run(function, *args, **kwargs)

    return carried


def current_headers() -> dict[str, str]:
    """Headers that let another process continue the trace; {} when there is none."""
    place = _place.get()
    if place is None:
        parent = _remote.get()
        return write_headers(parent) if parent else {}
    trace = place.trace
    span_id = None if place.span_id == NOT_KEPT else place.span_id
    return write_headers(RemoteParent(trace.trace_id, span_key(trace.key, span_id)))


@contextmanager
def continue_from(sender: RemoteParent | Headers) -> Iterator[None]:
    """Let pipelines inside the block belong to the sender's trace, if its headers name one."""
    parent = sender if isinstance(sender, RemoteParent) else read_headers(sender)
    token = _remote.set(parent)
    try:
        yield
    finally:
        _remote.reset(token)


def mark_stages(open_range: OpenRange | None) -> OpenRange | None:
    """Let stages open a range of another tool too, None for no tool; returns what did before.

    ``open_range`` takes the name of a stage and returns what closes its range, or None. It must
    not raise.
    """
    global _open_range
    before, _open_range = _open_range, open_range
    return before


def add_listener(listener: Listener) -> None:
    """Call a function with the profile of every pipeline that ends in this process."""
    if listener not in _listeners:
        _listeners.append(listener)


def remove_listener(listener: Listener) -> None:
    """Stop calling a function; does nothing if it was not called."""
    if listener in _listeners:
        _listeners.remove(listener)


def _tell(listener: Listener, profile: PipelineProfile) -> None:
    """A listener that fails must not turn a finished job into a failed one."""
    try:
        listener(profile)
    except Exception:
        log.exception("a listener failed on the profile of %s", profile.pipeline_id)
