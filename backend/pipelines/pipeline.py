"""The pipeline seam: a request in, files and facts out, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backend.catalog import CutOutParams, PipelineName, StageName, TuneStageName
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import ProgressSink, StageProgress


@dataclass(frozen=True)
class PipelineRequest:
    """What one job asks for.

    Parameters
    ----------
    inputs : mapping of str to Path
        Files by role: 'image' (RGBA PNG), optionally 'mask' (8-bit grey PNG of the same size).
    params : CutOutParams
        Validated parameters of the pipeline; the seed is set.
    out_dir : Path
        Existing empty folder for the results.
    """

    inputs: Mapping[str, Path]
    params: CutOutParams
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


@contextmanager
def stage(
    name: StageName | TuneStageName, sink: ProgressSink, kind: SpanKind = SpanKind.CPU
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
