"""Colouring the model of a finished job anew, as a job of its own: no new shape is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.catalog import (
    JobOptions,
    PipelineName,
    TextureEngine,
    TextureMeshParams,
    Upload,
    pipeline_spec,
)
from backend.errors import FilesExpired, JobNotFinished, MissingFile, TextureUnavailable
from backend.jobs.mesh_size import sized_cost_key
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService, priority_of
from backend.jobs.states import JobState

MESH_FILE, IMAGE = "mesh.glb", "image"
MODEL_ROLE = "model"
OF_PICTURES = (PipelineName.IMAGE_TO_3D, PipelineName.IMAGE_TO_PARTS)
KNOWN = frozenset({*OF_PICTURES, PipelineName.TEXTURE_MESH, PipelineName.PREPARE_MESH})


def has_picture(pipeline: str) -> bool:
    """Whether jobs of a pipeline have a picture that can be used once more."""
    return pipeline in (*OF_PICTURES, PipelineName.TEXTURE_MESH)


def params_again(pipeline: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of ``texture_mesh`` that a job had, or had as another pipeline.

    Parameters
    ----------
    params : mapping
        Of the job.
    """
    kept = {name: params[name] for name in TextureMeshParams.model_fields if name in params}
    if pipeline == PipelineName.TEXTURE_MESH:
        return kept
    kept.pop("engine", None)  # of the shape
    if pipeline in OF_PICTURES:
        # Its texture coordinates were made for its own texture: every engine makes better ones.
        kept |= {"engine": params.get("texture_engine", TextureEngine.AUTO), "keep_uvs": False}
    return kept


def ask(
    service: JobService,
    job_id: str,
    params: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    options: JobOptions | None = None,
) -> tuple[JobRecord, bool, list[str]]:
    """Start a job that colours the model of another one; see ``JobService.submit``.

    Parameters
    ----------
    job_id : str
        A job that made, or was given, a mesh.
    params : mapping
        Of ``texture_mesh``; they replace those of the job.
    pictures : mapping of str to bytes
        By the name they are kept under. A new ``image`` replaces all pictures of the job, others
        only those from the same side.
    options : JobOptions, optional
        Name, priority and webhook of the new job.

    Raises
    ------
    NotFound, JobNotFinished, FilesExpired, TextureUnavailable, MissingFile, InvalidParameter,
    QueueFull, StorageFull
    """
    job = service.store.get(job_id)
    _check(job)
    options = options or JobOptions()
    new = service.prepare(
        PipelineName.TEXTURE_MESH,
        params_again(job.pipeline, job.params) | dict(params),
        options.name or job.name,
        priority=priority_of(options.priority),
        webhook_url=options.webhook_url,
    )
    faces = (job.facts.get("mesh") or job.facts.get("source_mesh") or {}).get("faces")
    if faces is not None:
        new = replace(new, cost_key=sized_cost_key(new.cost_key, faces))
    given = {MESH_FILE: _mesh(service, job)} | _old_pictures(service, job, pictures)
    return service.submit_given(new, given, pictures)


def front_picture(service: JobService, job_id: str) -> Path | None:
    """Find the picture of a job that would be used again; raises NotFound."""
    return _pictures(service, service.store.get(job_id)).get(IMAGE)


def _check(job: JobRecord) -> None:
    if job.status is JobState.EXPIRED:
        raise FilesExpired
    if not job.status.is_terminal:
        raise JobNotFinished(f"The job is {job.status}; its model is not there yet.")
    if job.pipeline not in KNOWN:
        raise TextureUnavailable(f"A job of {job.pipeline} has no model to colour.")
    has_model = any(output.role == MODEL_ROLE for output in job.outputs)
    if not has_model and pipeline_spec(job.pipeline).upload is Upload.IMAGE:
        raise TextureUnavailable("The job made no model.")


def _mesh(service: JobService, job: JobRecord) -> Path:
    """Find what is coloured: what the job was given to colour, otherwise what it made."""
    if job.pipeline == PipelineName.TEXTURE_MESH:
        path = service.artefacts.input_path(job.id, MESH_FILE)
    else:
        name = next((output.name for output in job.outputs if output.role == MODEL_ROLE), None)
        path = service.artefacts.output_path(job.id, job.attempt, name) if name else None
    if path is None:
        raise FilesExpired("The mesh of this job has been removed.")
    return path


def _old_pictures(service: JobService, job: JobRecord, new: Mapping[str, bytes]) -> dict[str, Path]:
    """Choose the pictures of the job that are used again, by name; raises MissingFile."""
    sent = {_stem(name) for name in new}
    if IMAGE in sent:
        return {}
    old = _pictures(service, job)
    if IMAGE not in old:
        if has_picture(job.pipeline):
            raise FilesExpired("The picture of this job was removed; send one.")
        raise MissingFile(
            "The job was made without a picture.", advice="Send one in the field 'image'."
        )
    return {path.name: path for stem, path in old.items() if stem not in sent}


def _pictures(service: JobService, job: JobRecord) -> dict[str, Path]:
    """Find the pictures that a job was given and still has, by what they are."""
    names = [name for name in job.inputs if name.endswith((".png", ".jpg"))]
    found = {_stem(name): service.artefacts.input_path(job.id, name) for name in names}
    return {stem: path for stem, path in found.items() if path is not None}


def _stem(name: str) -> str:
    return name.partition(".")[0]
