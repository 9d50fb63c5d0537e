"""``/api/v1/jobs/<id>/files/<name>``: results, and what a running attempt shows already.

Names are looked up among the job's own; nothing of the request becomes a path.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, current_app, request, send_file

from backend.errors import FilesExpired, NotFound
from backend.jobs.artefacts import sha256_of
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.web.api.answers import service_of

MEDIA_TYPES = {
    "glb": "model/gltf-binary",
    "json": "application/json",
    "npy": "application/octet-stream",
    "npz": "application/octet-stream",
    "obj": "model/obj",
    "ply": "application/octet-stream",
    "png": "image/png",
    "stl": "model/stl",
    "wav": "audio/wav",
    "zip": "application/zip",
}
SAFE_INLINE = frozenset({"image/png", "model/gltf-binary", "audio/wav"})
_SANDBOX = "default-src 'none'; sandbox"

blueprint = Blueprint("files", __name__, url_prefix="/api/v1/jobs/<job_id>/files")


@blueprint.get("/<name>")
def show(job_id: str, name: str) -> Response:
    """Send a file: attachment by default, ``?inline=1`` for pictures, GLB and WAV; ranges work."""
    service = service_of(current_app.extensions)
    job = service.store.get(job_id)
    path, digest = _find(service, job, name)
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
    if media_type is None:
        raise NotFound("This job has no such file.")
    inline = request.args.get("inline") == "1" and media_type in SAFE_INLINE
    try:
        response = send_file(
            path,
            mimetype=media_type,
            as_attachment=not inline,
            download_name=_download_name(job, name),
            etag=digest,
            conditional=True,
        )
    except FileNotFoundError as error:  # removed between the look and the opening
        raise FilesExpired from error
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Security-Policy"] = _SANDBOX
    return response


def _find(service: JobService, job: JobRecord, name: str) -> tuple[Path, str]:
    """Find a result, a file of the running attempt, or the normalised upload."""
    for output in job.outputs:
        if output.name == name:
            path = service.artefacts.output_path(job.id, job.attempt, name)
            if path is None:
                raise FilesExpired
            return path, output.sha256
    path = _live(service, job, name)
    if path is None and name in job.inputs:
        path = service.artefacts.input_path(job.id, name)
    if path is None:
        if job.status is JobState.EXPIRED:
            raise FilesExpired
        raise NotFound("This job has no such file.")
    return path, sha256_of(path)


def _live(service: JobService, job: JobRecord, name: str) -> Path | None:
    """Find a file of the running attempt, which moves to the results before its job has ended."""
    if job.status not in (JobState.RUNNING, JobState.CANCELING):
        return None
    files = service.artefacts
    return files.live_path(job.id, job.attempt, name) or files.output_path(
        job.id, job.attempt, name
    )


def _download_name(job: JobRecord, name: str) -> str:
    """Put the job's name in the place of 'model', so that ten downloads can be told apart."""
    stem = job.name.rpartition(".")[0] or job.name
    return f"{stem}{name.removeprefix('model')}" if name.startswith("model") else f"{stem}-{name}"
