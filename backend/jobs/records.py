"""What the store hands out: plain records, and the JSON document of a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backend.jobs.states import JobState, Priority, StageState
from backend.units import iso


@dataclass(frozen=True)
class StageRecord:
    """One stage of a job; ``progress`` 0 to 100."""

    name: str
    status: StageState = StageState.PENDING
    progress: float = 0.0
    step: int | None = None
    steps: int | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True)
class OutputRecord:
    """One file of a job; ``name`` is unique within the job and chosen by us."""

    name: str
    format: str
    role: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class EtaRange:
    """Seconds until the end, from the history of like jobs."""

    low_s: float
    high_s: float


@dataclass(frozen=True)
class JobRecord:
    """A job as stored. ``version`` grows with every change (ETag)."""

    id: str
    pipeline: str
    name: str
    status: JobState
    params: dict[str, Any]
    created_at: datetime
    priority: Priority = Priority.NORMAL
    stages: tuple[StageRecord, ...] = ()
    outputs: tuple[OutputRecord, ...] = ()
    inputs: tuple[str, ...] = ()
    progress: float = 0.0
    attempt: int = 0
    max_attempts: int = 3
    batch_id: str | None = None
    retry_of: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    engine: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    queue_position: int | None = None
    eta: EtaRange | None = None
    version: int = 0

    @property
    def stage_index(self) -> int:
        """Number of stages that have ended well."""
        return sum(stage.status == StageState.SUCCEEDED for stage in self.stages)

    @property
    def stage(self) -> str | None:
        """Name of the running stage."""
        running = (s.name for s in self.stages if s.status == StageState.RUNNING)
        return next(running, None)


def file_url(job_id: str, name: str) -> str:
    """Address of a job's file."""
    return f"/api/v1/jobs/{job_id}/files/{name}"


def output_document(job_id: str, output: OutputRecord) -> dict[str, Any]:
    """The JSON of one output."""
    return {
        "name": output.name,
        "format": output.format,
        "role": output.role,
        "bytes": output.bytes,
        "sha256": output.sha256,
        "url": file_url(job_id, output.name),
    }


def stage_document(stage: StageRecord) -> dict[str, Any]:
    """The JSON of one stage."""
    return {
        "name": stage.name,
        "status": stage.status.value,
        "progress": round(stage.progress, 1),
        "step": stage.step,
        "steps": stage.steps,
        "elapsed_s": None if stage.elapsed_s is None else round(stage.elapsed_s, 3),
    }


def job_document(job: JobRecord) -> dict[str, Any]:
    """The JSON of a job, as in the HTTP contract."""
    base = f"/api/v1/jobs/{job.id}"
    eta = job.eta and {"low": round(job.eta.low_s, 1), "high": round(job.eta.high_s, 1)}
    return {
        "id": job.id,
        "pipeline": job.pipeline,
        "name": job.name,
        "status": job.status.value,
        "stage": job.stage,
        "stage_index": job.stage_index,
        "stage_count": len(job.stages),
        "progress": round(job.progress, 1),
        "queue_position": job.queue_position,
        "eta_s": eta,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "priority": job.priority.name.lower(),
        "batch_id": job.batch_id,
        "retry_of": job.retry_of,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "engine": job.engine,
        "params": job.params,
        "facts": job.facts,
        "warnings": list(job.warnings),
        "error": job.error,
        "stages": [stage_document(stage) for stage in job.stages],
        "outputs": [output_document(job.id, output) for output in job.outputs],
        "links": {
            "self": base,
            "events": f"{base}/events",
            "socket": f"/ws/jobs/{job.id}",
            "cancel": f"{base}/cancel",
            "retry": f"{base}/retry",
            "page": f"/jobs/{job.id}",
        },
    }
