"""The pipeline seam: a request in, files and facts out, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backend.catalog import AnyStageName, PipelineName, PipelineParams
from backend.profiling.recorder import StageTimes, profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import ProgressSink, StageProgress


@dataclass(frozen=True)
class PipelineRequest:
    """What one job asks for.

    Parameters
    ----------
    inputs : mapping of str to Path
        Files by role: 'image' (RGBA PNG), optionally 'mask' (8-bit grey PNG of the same size);
        or 'mesh' (GLB that was read once already), optionally 'face_ids' (NumPy file).
    params : PipelineParams
        Validated parameters of the pipeline; the seed is set.
    out_dir : Path
        Existing empty folder for the results.
    """

    inputs: Mapping[str, Path]
    params: PipelineParams
    out_dir: Path


@dataclass(frozen=True)
class OutputFile:
    """One file of the result: ``path`` in the request's ``out_dir``."""

    name: str
    format: str
    role: str
    path: Path


@dataclass
class PipelineOutcome:
    """What came out.

    Parameters
    ----------
    outputs : list of OutputFile
        Files of the result.
    facts : dict
        JSON-ready findings, e.g. ``{"mask": {"method", "confidence"}, "mesh": {"faces", ...}}``.
    """

    outputs: list[OutputFile] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Pipeline(Protocol):
    """A product: ordered named stages."""

    name: PipelineName

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Make the product; raises MeshkilnError."""


def rounded_seconds(times: StageTimes) -> dict[str, float]:
    """JSON-ready seconds of the stages."""
    return {name: round(elapsed_s, 4) for name, elapsed_s in times.seconds.items()}


@contextmanager
def stage(
    name: AnyStageName, sink: ProgressSink, kind: SpanKind = SpanKind.CPU
) -> Iterator[StageProgress]:
    """Run a stage: cancel check, profile record, reports of start and end.

    ``kind`` says what the stage spends its time on; time and memory on the GPU are measured
    for ``gpu`` and ``load``.
    """
    progress = StageProgress(sink, name)
    progress.check_canceled()
    sink.stage_started(name)
    started_s = time.perf_counter()
    with profile_stage(name, kind):
        yield progress
    progress.check_canceled()
    sink.stage_finished(name, time.perf_counter() - started_s)
