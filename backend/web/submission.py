"""From a request to a stored job; the API and the pages share it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from flask import Request, current_app

from backend.catalog import PipelineName, parse_options
from backend.errors import FieldProblem, InvalidParameter, MissingFile
from backend.jobs.mesh_size import sized_cost_key
from backend.jobs.parts.picking import refuse_alone
from backend.jobs.records import JobRecord
from backend.jobs.repeated_submits import made_before
from backend.jobs.service import JobService, priority_of
from backend.web.audio_uploads import NO_RECORDING, NormalisedRecording, normalise_recording
from backend.web.file_fields import PART_FIELDS
from backend.web.mesh_inputs import files_of_mesh
from backend.web.mesh_uploads import NormalisedMesh, SentMesh
from backend.web.picture_fetch import check_fetching, fetch_picture
from backend.web.picture_files import files_of_picture
from backend.web.request_body import NO_MESH, SubmitBody, read_submit
from backend.web.texture_inputs import PICTURE, check_has_picture, picture_field
from backend.web.uploads import MAX_NAME, NormalisedImage, clean_text

MAX_KEY = 128


def submit_from_request(
    request: Request, service: JobService | None = None
) -> tuple[JobRecord, bool, list[str]]:
    """Store the job a request asks for, and ring.

    Returns
    -------
    tuple
        The job, whether it is new (False: its idempotency key had been used), and warnings.

    Raises
    ------
    BadInput, QueueFull, StorageFull
    """
    service = service or current_app.extensions["meshkiln"]
    return submit_body(read_submit(request), service, idempotency_key(request))


def submit_body(
    body: SubmitBody, service: JobService, key: str | None = None
) -> tuple[JobRecord, bool, list[str]]:
    """Store the job of a submit that was read already; see ``submit_from_request``."""
    refuse_alone(body.pipeline)
    options = parse_options(body.options)
    if body.image_url:
        check_fetching(service.settings)
    new = service.prepare(  # a wrong parameter is told before a picture is decoded
        body.pipeline,
        body.params,
        clean_text(options.name or "", MAX_NAME),
        priority=priority_of(options.priority),
        idempotency_key=key,
        body_sha256=_digest(body) if key else None,
        webhook_url=options.webhook_url,
    )
    if options.webhook_url:
        service.webhooks.check(options.webhook_url)
    if body.image_url or body.mesh or body.recording:
        known = made_before(service.store, new)  # its address may lead nowhere by now
        if known:
            return service.store.get(known), False, []
    if body.image_url:
        fetched = fetch_picture(body.image_url, service.settings, service.outbound)
        body = replace(body, files={**body.files, picture_field(body.pipeline): fetched})
    given, files = files_of(body, service)
    if isinstance(given, NormalisedMesh):
        new = replace(new, cost_key=sized_cost_key(new.cost_key, given.facts["faces"]))
    return service.submit(replace(new, name=new.name or given.display_name), files)


def files_of(
    body: SubmitBody, service: JobService
) -> tuple[NormalisedImage | NormalisedMesh | NormalisedRecording, dict[str, bytes]]:
    """Turn what a submit holds into what is kept; raises BadInput, QueueFull, StorageFull."""
    if body.is_for_recording:
        return _recording_files(body, service)
    if body.is_for_mesh:
        return _mesh_files(body, service)
    return files_of_picture(body.files, "file", service.settings)


def _recording_files(
    body: SubmitBody, service: JobService
) -> tuple[NormalisedRecording, dict[str, bytes]]:
    if body.recording is None:
        raise MissingFile("No recording was sent.", advice=NO_RECORDING)
    recording = normalise_recording(body.recording, service.settings)
    return recording, {recording.file_name: recording.data}


def _mesh_files(body: SubmitBody, service: JobService) -> tuple[NormalisedMesh, dict[str, bytes]]:
    if body.mesh is None and "file" not in body.files:
        raise MissingFile(advice=NO_MESH)
    sent = body.mesh or SentMesh.of_bytes(*body.files["file"])
    of_parts = {name: body.files[name][1] for name in PART_FIELDS if name in body.files}
    mesh, files = files_of_mesh(sent, service.settings, **of_parts)
    if body.pipeline == PipelineName.TEXTURE_MESH:
        check_has_picture(body.files, None)
        files |= files_of_picture(body.files, PICTURE, service.settings)[1]
    return mesh, files


def idempotency_key(request: Request) -> str | None:
    """Read the key with which the same request may be sent again; raises InvalidParameter."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        problem = FieldProblem("Idempotency-Key", f"1 to {MAX_KEY} characters")
        raise InvalidParameter("The Idempotency-Key is too long or empty.", fields=(problem,))
    return key


def _digest(body: SubmitBody) -> str:
    """Hash of everything that makes two submits the same."""
    digest = hashlib.sha256()
    fields: dict[str, Any] = {"p": body.pipeline, "a": body.params, "o": body.options}
    if body.image_url:
        fields["u"] = body.image_url
    digest.update(json.dumps(fields, sort_keys=True).encode())
    if body.mesh is not None:
        digest.update(b"mesh" + body.mesh.sha256())
    if body.recording is not None:
        digest.update(b"recording" + body.recording.sha256())
    for name, (_, data) in sorted(body.files.items()):
        digest.update(name.encode() + hashlib.sha256(data).digest())
    return digest.hexdigest()
