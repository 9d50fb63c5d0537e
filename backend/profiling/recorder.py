"""Records the time of named stages, nested and in concurrent pipelines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class StageRecord:
    """One run of a stage.

    Parameters
    ----------
    name : str
        Stage name.
    elapsed_s : float
        Wall time.
    depth : int
        Nesting depth, 0 for a stage of the pipeline itself.
    failed : bool
        Whether it ended with an exception.
    """

    name: str
    elapsed_s: float
    depth: int
    failed: bool


@dataclass
class PipelineRecord:
    """The stages of one pipeline run, in order of their end."""

    pipeline_id: str
    stages: list[StageRecord] = field(default_factory=list)
    depth: int = 0

    @property
    def total_s(self) -> float:
        """Sum of the outermost stages in seconds."""
        return sum(record.elapsed_s for record in self.stages if record.depth == 0)


_current: ContextVar[PipelineRecord | None] = ContextVar("pipeline_record", default=None)


@contextmanager
def record_pipeline(pipeline_id: str) -> Iterator[PipelineRecord]:
    """Collect the stages that run inside the block, in this thread or task only."""
    record = PipelineRecord(pipeline_id)
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


@contextmanager
def profile_stage(name: str) -> Iterator[None]:
    """Time a stage; without a surrounding pipeline it costs next to nothing."""
    record = _current.get()
    if record is None:
        yield
        return
    depth, record.depth = record.depth, record.depth + 1
    started_s, failed = time.perf_counter(), True
    try:
        yield
        failed = False
    finally:
        record.depth = depth
        elapsed_s = time.perf_counter() - started_s
        record.stages.append(StageRecord(name, elapsed_s, depth, failed))
