"""What the part explorer is told about boxes: which mesh they are of, and whether they can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from backend.catalog import Preset, Upload, pipeline_spec
from backend.errors import FilesExpired, NotFound
from backend.jobs.records import JobRecord, file_url
from backend.jobs.service import JobService
from backend.web.api.gpu import gpu_status
from backend.web.api.models import models_document
from backend.web.mesh_uploads import FILE_NAME as MESH_NAME
from backend.web.pages.service import job_service
from backend.web.part_boxes import FILE_NAME as BOXES_NAME

COMPLETION = "completion"
MODEL_ROLE = "model"
OFFLINE = "offline"
# What a job that completes drawn boxes takes over from the job on whose page they were drawn.
INHERITED = ("seed", "preset", "part_quality", "part_steps", "part_solver", "part_cells")


@dataclass(frozen=True)
class BoxesView:
    """What a page needs to let somebody draw boxes.

    Parameters
    ----------
    mesh : str or None
        Address of the mesh; None where boxes cannot be completed.
    reason : str or None
        Why they cannot; None where they can, or where nobody tells.
    settings : mapping
        What a job with drawn boxes takes over; None is left to the preset.
    given : str or None
        Address of the boxes that were sent with the job.
    is_slow : bool
        Whether the worker has no GPU.
    """

    mesh: str | None
    reason: str | None
    settings: Mapping[str, Any]
    given: str | None
    is_slow: bool


def install(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/jobs/<job_id>/boxes.json", view_func=given_boxes)


def given_boxes(job_id: str) -> Response:
    """The boxes that were sent with a job; its ``boxes.json`` has those of the parts it made."""
    service = job_service()
    job = service.store.get(job_id)
    if BOXES_NAME not in job.inputs:
        raise NotFound("No boxes were sent with this job.")
    path = service.artefacts.input_path(job.id, BOXES_NAME)
    if path is None:
        raise FilesExpired
    return Response(path.read_bytes(), mimetype="application/json")


def boxes_view(job: JobRecord) -> BoxesView | None:
    """Describe the boxes of a job; None if the mesh they would be of is not there."""
    mesh = _mesh_address(job)
    if mesh is None:
        return None
    service = job_service()
    document = models_document(service)
    reason = document["parts_unavailable"][COMPLETION] if document["looked_at"] else None
    settings = {name: job.params.get(name) for name in INHERITED}
    given = f"/jobs/{job.id}/boxes.json" if BOXES_NAME in job.inputs else None
    return BoxesView(
        None if reason else mesh,
        reason,
        settings | {"preset": settings["preset"] or Preset.STANDARD.value},
        given,
        _has_no_gpu(service),
    )


def _mesh_address(job: JobRecord) -> str | None:
    """Where the whole mesh is: as it was sent, or as the job made it."""
    if pipeline_spec(job.pipeline).upload is Upload.MESH:
        return file_url(job.id, MESH_NAME)
    made = (file_url(job.id, output.name) for output in job.outputs if output.role == MODEL_ROLE)
    return next(made, None)


def _has_no_gpu(service: JobService) -> bool:
    """Whether a worker says so; where none reports, nothing is claimed."""
    status = gpu_status(service)
    if status["worker"]["state"] in (None, OFFLINE):
        return False
    return not status["available"] or status["mode"] == "cpu"
