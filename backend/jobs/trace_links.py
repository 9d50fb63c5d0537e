"""Which trace a job belongs to: named by the request that submitted it, kept with its row.

The bell carries the trace as well, for tools that follow messages. The row decides, because a job
may be claimed on the bell of another one, or on that of the reconciler, which names no trace.
"""

from __future__ import annotations

from sqlalchemy import Engine, select

from backend.jobs.schema import TraceRow
from backend.profiling.recorder import current_headers
from backend.profiling.trace_headers import RemoteParent, new_trace_id, read_headers


def trace_here() -> RemoteParent:
    """Return the sender's span in force here, or a trace of its own that has no span yet."""
    return read_headers(current_headers()) or RemoteParent(new_trace_id(), None)


def trace_row(job_id: str, trace: RemoteParent) -> TraceRow:
    """Make the row that goes with a new job."""
    return TraceRow(job_id=job_id, trace_id=trace.trace_id, parent_key=trace.span_key)


def trace_of(jobs: Engine, job_id: str) -> RemoteParent | None:
    """Look up the trace of a job; None for one that was submitted by an older version."""
    query = select(TraceRow.trace_id, TraceRow.parent_key).where(TraceRow.job_id == job_id)
    with jobs.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else RemoteParent(*row)
