"""What a shared call took, put on the record of every job that shared it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.batching.device_turn import WAIT
from backend.profiling.recorder import current_trace, innermost_span
from backend.profiling.span_notes import note
from backend.profiling.spans import Span, SpanKind
from backend.profiling.trace import Trace

SHARED_BY = "shared_by"


def add_shared_spans(spans: Sequence[Span], shared_by: int) -> None:
    """Add the stages of a shared call to the pipeline in force here, inside its open stage.

    The times are those of the whole call: every job waited for all of it. So are the notes of
    work, so that work over time stays what the device did.

    Parameters
    ----------
    spans : sequence of Span
        The first one stands for the call itself: its notes go to the open stage, and those
        inside it become stages there. On the same clock as the pipeline in force.
    shared_by : int
        Jobs of the call, noted on each stage if they are several.
    """
    trace, outer = current_trace(), innermost_span()
    if trace is None or trace.profile is not None or not spans:
        return
    call, *inside = spans
    shared = {SHARED_BY: shared_by} if shared_by > 1 else {}
    if outer is not None:
        told = {**(call.attributes or {}), **shared}
        note(lambda noted: _merged(noted, told))
    numbers: dict[int, int | None] = {call.id: None if outer is None else outer.id}
    for span in inside:
        if span.parent == call.id and (span.name, span.kind) == (WAIT, SpanKind.LOCK):
            continue  # until the call began the job waited by itself, which is on its record
        if span.parent in numbers:
            _copy(span, trace, numbers, shared)


def _copy(
    span: Span, trace: Trace, numbers: dict[int, int | None], shared: Mapping[str, int]
) -> None:
    parent = numbers[span.parent or 0]
    attributes = {**(span.attributes or {}), **shared}
    copy = trace.open_span(parent, span.name, span.kind, attributes)
    if copy is None:  # too many; what is inside it is left out too
        return
    copy.thread, copy.start_ns, copy.end_ns = span.thread, span.start_ns, span.end_ns
    copy.error, copy.gpu_ns, copy.peak_bytes = span.error, span.gpu_ns, span.peak_bytes
    numbers[span.id] = copy.id


def _merged(noted: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Merge notes; documents of the same name are joined one level down."""
    return {
        name: {**noted[name], **value}
        if isinstance(value, Mapping) and isinstance(noted.get(name), Mapping)
        else value
        for name, value in told.items()
    }
