"""What was measured: spans of time in a tree, and the profile of one run of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from backend.profiling.self_time import clipped, covered_ns
from backend.units import iso

NS = 1_000_000_000


class SpanKind(StrEnum):
    """What a stage spends its time on, or waits for."""

    QUEUE = "queue"
    LOCK = "lock"
    LOAD = "load"
    CPU = "cpu"
    GPU = "gpu"
    IO = "io"


class ProfileStatus(StrEnum):
    """How the run ended."""

    OK = "ok"
    FAILED = "failed"


@dataclass(slots=True)
class Span:
    """One run of a stage.

    Parameters
    ----------
    id : int
        Counts from 1 within the pipeline, in order of the start.
    parent : int or None
        The stage around it; None for a stage of the pipeline itself.
    thread : int
        Identifier of the thread that ran it.
    start_ns, end_ns : int
        Clock of the pipeline; ``end_ns`` is None if it was still running when the pipeline ended.
    error : str or None
        Class of the exception that ended it.
    gpu_ns : int or None
        Time between its first and its last work on the GPU; None if not measured. The wall time
        of a GPU stage is the time to queue the work unless the stage waits for the result.
    peak_bytes : int or None
        Most memory that this process held on the GPU during the stage.
    """

    id: int
    parent: int | None
    name: str
    kind: SpanKind
    thread: int
    start_ns: int
    end_ns: int | None = None
    error: str | None = None
    gpu_ns: int | None = None
    peak_bytes: int | None = None
    attributes: dict[str, Any] | None = None

    @property
    def elapsed_ns(self) -> int | None:
        """Wall time in nanoseconds; None while it runs."""
        return None if self.end_ns is None else self.end_ns - self.start_ns

    @property
    def elapsed_s(self) -> float | None:
        """Wall time in seconds; None while it runs."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / NS


@dataclass(frozen=True)
class StageProfile:
    """All runs of one top-level stage of a pipeline.

    Parameters
    ----------
    duration_seconds : float
        Sum of the wall time of its runs.
    occurrences : int
        Number of runs.
    gpu_seconds : float or None
        Sum of the GPU time; None unless every run has one.
    peak_bytes : int or None
        Largest peak of its runs and of the stages inside them.
    failed : bool
        Whether a run ended with an exception.
    """

    name: str
    kind: SpanKind
    duration_seconds: float
    occurrences: int
    gpu_seconds: float | None
    peak_bytes: int | None
    failed: bool


@dataclass
class PipelineProfile:
    """One finished run of a pipeline.

    Parameters
    ----------
    pipeline_id : str
    metadata : dict
        What the caller told, JSON-ready.
    started_at : datetime
        Wall-clock time, UTC.
    start_ns, end_ns : int
        On the clock of the spans.
    spans : list of Span
        In order of their start; a parent stands before its children.
    device : str or None
        Name of the GPU that this process computes on.
    allocator : dict or None
        Health of torch's GPU memory at the end, see ``backend.profiling.allocator_health``.
    trace_id : str
        32 hexadecimal digits, the same in every process that works on one request.
    key : str
        16 hexadecimal digits that name this run within the trace.
    remote_parent : str or None
        Key of the span in another process that caused this run.
    dropped_spans : int
        Stages that ran but were not kept, because there were too many.
    """

    pipeline_id: str
    metadata: dict[str, Any]
    started_at: datetime
    start_ns: int
    end_ns: int
    spans: list[Span] = field(default_factory=list)
    status: ProfileStatus = ProfileStatus.OK
    device: str | None = None
    allocator: dict[str, Any] | None = None
    trace_id: str = ""
    key: str = ""
    remote_parent: str | None = None
    dropped_spans: int = 0

    @property
    def total_ns(self) -> int:
        """Wall time of the run in nanoseconds."""
        return self.end_ns - self.start_ns

    @property
    def total_duration(self) -> float:
        """Wall time of the run in seconds."""
        return self.total_ns / NS

    @property
    def stages(self) -> list[StageProfile]:
        """The top-level stages in order of their first start; repeats are summed.

        Waiting in the queue happens before the run and is not one of its stages.
        """
        runs: dict[str, list[Span]] = {}
        for span in self.spans:
            if span.parent is None and span.kind is not SpanKind.QUEUE:
                runs.setdefault(span.name, []).append(span)
        peaks = self._peaks()
        return [self._stage(spans, peaks) for spans in runs.values()]

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Wall time of every top-level stage."""
        return {stage.name: stage.duration_seconds for stage in self.stages}

    @property
    def slowest_stage(self) -> StageProfile | None:
        """The top-level stage with the most wall time; None without stages."""
        return max(self.stages, key=lambda stage: stage.duration_seconds, default=None)

    @property
    def stage_percentages(self) -> dict[str, float]:
        """Share of the run's wall time; more than 100 in sum where stages overlap."""
        total_s = self.total_duration
        return {
            name: 100 * seconds / total_s if total_s else 0.0
            for name, seconds in self.stage_seconds.items()
        }

    @property
    def peak_bytes(self) -> int | None:
        """Largest peak of GPU memory of all stages that were measured."""
        return _largest(span.peak_bytes for span in self.spans)

    def children(self, span: Span | None) -> list[Span]:
        """Stages directly inside a span, or the top-level stages for None."""
        inside = span.id if span else None
        return [other for other in self.spans if other.parent == inside]

    def interval(self, span: Span | None) -> tuple[int, int]:
        """Start and end of a span within the run in ns; what still ran ends with the run."""
        if span is None:
            return self.start_ns, self.end_ns
        end_ns = self.end_ns if span.end_ns is None else span.end_ns
        return clipped((span.start_ns, end_ns), (self.start_ns, self.end_ns))

    def self_ns(self, span: Span | None) -> int:
        """Wall time of a span in ns during which none of its children ran; the run's for None."""
        start_ns, end_ns = own = self.interval(span)
        inside = [clipped(self.interval(child), own) for child in self.children(span)]
        return end_ns - start_ns - covered_ns(inside)

    def to_document(self) -> dict[str, Any]:
        """Return everything JSON-ready, with the sums that a reader wants first."""
        document = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        slowest = self.slowest_stage
        return document | {
            "started_at": iso(self.started_at),
            "status": self.status.value,
            "total_duration": self.total_duration,
            "slowest_stage": slowest.name if slowest else None,
            "stages": [asdict(stage) | {"kind": stage.kind.value} for stage in self.stages],
            "spans": [asdict(span) | {"kind": span.kind.value} for span in self.spans],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PipelineProfile:
        """Read what ``to_document`` wrote; fields it does not know are left out.

        Raises
        ------
        KeyError, ValueError
            A field is absent or not of its kind.
        """
        names = {spec.name for spec in fields(cls)} & document.keys()
        values = {name: document[name] for name in names}
        values["started_at"] = datetime.fromisoformat(document["started_at"])
        values["status"] = ProfileStatus(document["status"])
        values["spans"] = [_span(entry) for entry in document["spans"]]
        return cls(**values)

    def _peaks(self) -> dict[int, int | None]:
        """Largest peak of every top-level span and all spans inside it."""
        outermost: dict[int, int] = {}
        peaks: dict[int, int | None] = {}
        for span in self.spans:
            top = span.id if span.parent is None else outermost.get(span.parent, span.parent)
            outermost[span.id] = top
            peaks[top] = _largest((peaks.get(top), span.peak_bytes))
        return peaks

    def _stage(self, runs: list[Span], peaks: Mapping[int, int | None]) -> StageProfile:
        lengths_ns = [end_ns - start_ns for start_ns, end_ns in map(self.interval, runs)]
        on_gpu = [span.gpu_ns for span in runs if span.gpu_ns is not None]
        return StageProfile(
            name=runs[0].name,
            kind=runs[0].kind,
            duration_seconds=sum(lengths_ns) / NS,
            occurrences=len(runs),
            gpu_seconds=sum(on_gpu) / NS if len(on_gpu) == len(runs) else None,
            peak_bytes=_largest(peaks.get(span.id) for span in runs),
            failed=any(span.error for span in runs),
        )


def _span(entry: Mapping[str, Any]) -> Span:
    names = {spec.name for spec in fields(Span)} & entry.keys()
    return Span(**{name: entry[name] for name in names} | {"kind": SpanKind(entry["kind"])})


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
