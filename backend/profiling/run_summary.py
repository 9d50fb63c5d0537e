"""What a list of runs shows of each: its times, and under which circumstances it ran."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from backend.profiling.self_time import covered_ns
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, SpanKind
from backend.profiling.work import NO_WORK, stage_work
from backend.units import MB, iso


class RunStatus(StrEnum):
    """How a run ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELED = "canceled"

    @classmethod
    def of(cls, profile: PipelineProfile) -> RunStatus:
        """Read it off the profile, which knows of no cancellation."""
        return cls.OK if profile.status is ProfileStatus.OK else cls.FAILED


@dataclass(frozen=True)
class RunStage:
    """One top-level stage of a run.

    Parameters
    ----------
    elapsed_s : float
        Wall time of all its repeats.
    share_pct : float or None
        Of the run's wall time; None for a run that took no time.
    gpu_s, peak_mb : float or None
        Time and most memory on the GPU, where they were measured.
    flop, moved_bytes : float or None
        What it computed, and moved at least; None if not known.
    dtype : str or None
        What it computed in; None if not known or in several types.
    """

    name: str
    kind: str
    elapsed_s: float
    share_pct: float | None
    gpu_s: float | None
    peak_mb: float | None
    flop: float | None = None
    moved_bytes: float | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """One finished run.

    Parameters
    ----------
    run : str
        Its identifier.
    total_s : float
        Wall time, without the wait in the queue.
    queue_s : float or None
        Wait before it; None if unknown.
    load_s : float or None
        Wall time in which models were loaded, 0 for a run that loaded none.
    shape_key : str
        Runs of one pipeline and key did like work.
    batch_size : int or None
        Jobs that shared the run.
    """

    run: str
    job_id: str | None
    pipeline: str
    started_at: datetime
    total_s: float
    queue_s: float | None
    load_s: float | None
    status: RunStatus
    device: str | None
    engine: dict[str, Any]
    settings: dict[str, Any]
    shape_key: str
    batch_size: int | None
    version: str
    stages: tuple[RunStage, ...]

    @cached_property
    def stage_seconds(self) -> dict[str, float]:
        """Wall time by stage, as ``backend.profiling.comparison`` takes it."""
        return {stage.name: stage.elapsed_s for stage in self.stages}

    @property
    def peak_mb(self) -> float | None:
        """Most memory on the GPU in any stage; None if none was measured."""
        return max((s.peak_mb for s in self.stages if s.peak_mb is not None), default=None)

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return document | {
            "started_at": iso(self.started_at),
            "status": self.status.value,
            # All its fields are plain: a deep copy takes twenty times as long.
            "stages": [vars(stage).copy() for stage in self.stages],
        }


@dataclass(frozen=True)
class StoredRun:
    """A run with its whole profile."""

    summary: RunSummary
    profile: dict[str, Any]

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"run": self.summary.to_document(), "profile": self.profile}


def run_stages(profile: PipelineProfile) -> tuple[RunStage, ...]:
    """Summarise the top-level stages of a profile."""
    work = stage_work(profile)
    return tuple(
        RunStage(
            name=stage.name,
            kind=stage.kind.value,
            elapsed_s=stage.duration_seconds,
            share_pct=_share_pct(stage.duration_seconds, profile.total_duration),
            gpu_s=stage.gpu_seconds,
            peak_mb=None if stage.peak_bytes is None else stage.peak_bytes / MB,
            **asdict(work.get(stage.name, NO_WORK)),
        )
        for stage in profile.stages
    )


def queue_seconds(profile: PipelineProfile) -> float | None:
    """Seconds of the wait before the run; None if it was not recorded."""
    waits = [s.elapsed_s for s in profile.spans if s.kind is SpanKind.QUEUE and s.parent is None]
    known = [wait_s for wait_s in waits if wait_s is not None]
    return sum(known) if known else None


def load_seconds(profile: PipelineProfile) -> float:
    """Seconds during which models were loaded, at any depth; overlapping loads count once."""
    loads = [profile.interval(span) for span in profile.spans if span.kind is SpanKind.LOAD]
    return covered_ns(loads) / NS


def read_stages(rows: list[dict[str, Any]]) -> tuple[RunStage, ...]:
    """Read the stages of a stored summary, also of earlier and later versions."""
    known = RunStage.__dataclass_fields__.keys()
    if rows and rows[0].keys() != known:
        rows = [{name: row[name] for name in known & row.keys()} for row in rows]
    return tuple(RunStage(**row) for row in rows)


def _share_pct(elapsed_s: float, total_s: float) -> float | None:
    return 100 * elapsed_s / total_s if total_s > 0 else None
