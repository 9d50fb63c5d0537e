"""Asking which part of a finished job a point is in, as a job of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.catalog import PipelineName, SegmentationEngine, Upload, pipeline_spec
from backend.errors import (
    FieldProblem,
    FilesExpired,
    InvalidParameter,
    JobNotFinished,
    PickingUnavailable,
)
from backend.jobs.parts.service import DATA_ROLE
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.jobs.states import JobState, Priority

MESH_FILE, TREE_FILE = "mesh.glb", "part_tree.npz"
MODEL_ROLE = "model"


def can_pick(facts: dict[str, Any]) -> bool:
    """Whether the parts of a job were found by the network that is asked."""
    return found_by(facts) == SegmentationEngine.P3SAM


def found_by(facts: dict[str, Any]) -> str | None:
    """Return what found the parts of a job; None if it has none."""
    engine: str | None = (facts.get("parts") or {}).get("engine")
    return engine


def refuse_alone(pipeline: str) -> None:
    """Refuse a submit that asks about a point of no job; raises InvalidParameter."""
    if pipeline == PipelineName.PART_AT_POINT:
        raise InvalidParameter(
            f"{pipeline} asks about a point of a finished job.",
            fields=(FieldProblem("/pipeline", "cannot be submitted with a file"),),
            advice="Send the point to POST /api/v1/jobs/<id>/picks.",
        )


def ask(
    service: JobService, job_id: str, place: Sequence[float]
) -> tuple[JobRecord, bool, list[str]]:
    """Start a job that tells which part is at a point; see ``JobService.submit``.

    Parameters
    ----------
    job_id : str
        A finished job whose parts P3-SAM found.
    place : sequence of three floats
        In the coordinates of its mesh.

    Raises
    ------
    NotFound, JobNotFinished, FilesExpired, PickingUnavailable, InvalidParameter, QueueFull
    """
    job = service.store.get(job_id)
    _check_is_pickable(job)
    new = service.prepare(
        PipelineName.PART_AT_POINT, _params(job, place), job.name, priority=Priority.HIGH
    )
    files = {MESH_FILE: _mesh(service, job), TREE_FILE: _output(service, job, DATA_ROLE)}
    return service.submit_given(new, files)


def _check_is_pickable(job: JobRecord) -> None:
    if job.status is JobState.EXPIRED:
        raise FilesExpired
    if not job.status.is_terminal:
        raise JobNotFinished(f"The job is {job.status}; its parts are not there yet.")
    if not can_pick(job.facts):
        engine = found_by(job.facts)
        told = "It has no parts." if engine is None else f"Its parts are from {engine}, not p3sam."
        raise PickingUnavailable(told)


def _params(job: JobRecord, place: Sequence[float]) -> dict[str, Any]:
    parts = job.facts["parts"]
    x, y, z = place
    return {
        "x": x,
        "y": y,
        "z": z,
        "points": parts.get("points"),
        "geometry": parts.get("geometry"),
        "seed": job.params.get("seed"),
    }


def _mesh(service: JobService, job: JobRecord) -> Path:
    """Find the mesh whose faces the parts number: the one that was sent, or the one made."""
    if pipeline_spec(job.pipeline).upload is Upload.IMAGE:
        return _output(service, job, MODEL_ROLE)
    path = service.artefacts.input_path(job.id, MESH_FILE)
    if path is None:
        raise FilesExpired("The mesh that this job was given has been removed.")
    return path


def _output(service: JobService, job: JobRecord, role: str) -> Path:
    name = next((output.name for output in job.outputs if output.role == role), None)
    path = name and service.artefacts.output_path(job.id, job.attempt, name)
    if not path:
        raise FilesExpired
    return path
