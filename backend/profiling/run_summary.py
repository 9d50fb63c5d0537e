"""What a list of runs shows of each: its times, and under which circumstances it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from backend.profiling.self_time import covered_ns
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, SpanKind
from backend.profiling.stage_facts import FactName, Facts
from backend.profiling.stage_parts import StagePart, inner_parts, stage_parts
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
    """One stage of a run.

    Parameters
    ----------
    name : str
        That of a stage inside others is its path, as in ``shape_generation/denoise``.
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
    calls : int or None
        How often its models were called; None if that was not counted.
    noted : str or None
        JSON of ``facts`` and ``inner``, which few readers of many runs want; see ``noted_text``.
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
    calls: int | None = None
    noted: str | None = None

    @property
    def facts(self) -> Facts:
        """How it went about its work, see ``backend.profiling.stage_facts``."""
        facts: Facts = self._told.get("facts", {})
        return facts

    @property
    def waited_s(self) -> float:
        """Seconds of it in which it waited for the device or for the others of its batch."""
        return self.facts.get(FactName.WAIT.value, {}).get("elapsed_s") or 0.0

    @cached_property
    def inner(self) -> tuple[RunStage, ...]:
        """The stages at any depth inside it that told of facts or work; those have none."""
        return read_stages(self._told.get("inner", ()))

    @cached_property
    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = json.loads(self.noted) if self.noted else {}
        return told

    def to_row(self) -> dict[str, Any]:
        """Return it as it is stored: JSON-ready, without ``noted`` where there is nothing."""
        # All its fields are plain: a deep copy takes twenty times as long.
        row = vars(self).copy()
        for name in ("inner", "_told"):
            row.pop(name, None)
        if row["noted"] is None:
            del row["noted"]
        return row

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready, with ``facts`` and ``inner`` where there are some."""
        document = self.to_row()
        if document.pop("noted", None) is None:
            return document
        inner = [stage.to_document() for stage in self.inner]
        told: dict[str, Any] = {"facts": self.facts, "inner": inner}
        return document | {name: found for name, found in told.items() if found}


_FIELDS = RunStage.__dataclass_fields__.keys()


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

    @property
    def worked_s(self) -> float:
        """Wall time without the waits for the device and for the others of its batch."""
        return self.total_s - sum(stage.waited_s for stage in self.stages)

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
        return self._document([stage.to_document() for stage in self.stages])

    def to_row(self) -> dict[str, Any]:
        """Return it JSON-ready with its stages as they are stored, which is faster for many."""
        return self._document([stage.to_row() for stage in self.stages])

    def _document(self, stages: list[dict[str, Any]]) -> dict[str, Any]:
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return document | {
            "started_at": iso(self.started_at),
            "status": self.status.value,
            "stages": stages,
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
    """Summarise the top-level stages of a profile, and what is known of those inside them."""
    parts = stage_parts(profile)
    inner: dict[str | None, list[RunStage]] = {}
    for part in inner_parts(parts, profile):
        inner.setdefault(part.top, []).append(_stage_of(part, profile))
    return tuple(
        _stage_of(part, profile, inner.get(part.path, ()))
        for part in parts.values()
        if part.top is None
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


def read_stages(rows: Sequence[Mapping[str, Any]]) -> tuple[RunStage, ...]:
    """Read the stages of a stored summary, also of earlier and later versions."""
    return tuple(RunStage(**_known_fields(row)) for row in rows)


def noted_text(facts: Facts, inner: Sequence[RunStage] = ()) -> str | None:
    """Write what a stage noted, and the stages inside it; None if there is nothing."""
    document: dict[str, Any] = {"facts": facts, "inner": [stage.to_row() for stage in inner]}
    told = {name: found for name, found in document.items() if found}
    return json.dumps(told, separators=(",", ":")) if told else None


def _known_fields(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if row.keys() <= _FIELDS:
        return row
    return {name: row[name] for name in _FIELDS & row.keys()}


def _stage_of(
    part: StagePart, profile: PipelineProfile, inner: Sequence[RunStage] = ()
) -> RunStage:
    elapsed_s, peak_bytes = part.elapsed_s(profile), part.peak_bytes
    return RunStage(
        name=part.path,
        kind=part.kind.value,
        elapsed_s=elapsed_s,
        share_pct=_share_pct(elapsed_s, profile.total_duration),
        gpu_s=part.gpu_s,
        peak_mb=None if peak_bytes is None else peak_bytes / MB,
        **asdict(part.work),
        noted=noted_text(part.facts, inner),
    )


def _share_pct(elapsed_s: float, total_s: float) -> float | None:
    return 100 * elapsed_s / total_s if total_s > 0 else None
