"""A request to colour the model of a job anew; the API and the job page share it."""

from __future__ import annotations

from flask import Request
from PIL import Image

from backend.catalog import JobOptions, PipelineName, TextureMeshParams, parse_options
from backend.errors import FieldProblem, InvalidParameter, MissingFile
from backend.jobs import texture_again
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.web.other_views import normalised_views
from backend.web.picture_files import MASK, MASK_NAME, files_of_picture
from backend.web.request_body import SubmitBody, read_fields
from backend.web.texture_inputs import FIELDS, PICTURE
from backend.web.uploads import MAX_NAME, clean_text, normalise_mask


def submit_again(
    request: Request, service: JobService, job_id: str
) -> tuple[JobRecord, bool, list[str]]:
    """Store the job that a request asks for, and ring; see ``JobService.submit``.

    Raises
    ------
    BadInput, Refused
    """
    texture = PipelineName.TEXTURE_MESH
    body = read_fields(request, texture) if request.mimetype else SubmitBody(texture)
    _check(body)
    options = parse_options(body.options)
    if options.webhook_url:
        service.webhooks.check(options.webhook_url)
    named = JobOptions(
        name=clean_text(options.name or "", MAX_NAME) or None,
        priority=options.priority,
        webhook_url=options.webhook_url,
    )
    pictures = _pictures(body, service, job_id)
    emptied = {name: None for name in TextureMeshParams.model_fields if _is_emptied(request, name)}
    return texture_again.ask(service, job_id, emptied | body.params, pictures, named)


def _is_emptied(request: Request, name: str) -> bool:
    """Whether a field of the form was left empty: the value of the job does not stay then."""
    return request.form.get(name) == ""


def _check(body: SubmitBody) -> None:
    """Refuse what is not for this; raises InvalidParameter."""
    wrong = [name for name in body.files if name not in FIELDS]
    wrong += ["pipeline"] * (body.pipeline != PipelineName.TEXTURE_MESH)
    wrong += ["mesh"] * (body.mesh is not None) + ["audio"] * (body.recording is not None)
    wrong += ["image_url"] * (body.image_url is not None)
    if wrong:
        problem = FieldProblem(f"/{wrong[0]}", "is not for this")
        raise InvalidParameter(f"{wrong[0]}: not expected here.", fields=(problem,))


def _pictures(body: SubmitBody, service: JobService, job_id: str) -> dict[str, bytes]:
    """Turn the pictures that were sent into what is kept, by file name; raises BadInput."""
    if PICTURE in body.files:
        return files_of_picture(body.files, PICTURE, service.settings)[1]
    kept = normalised_views(body.files, service.settings)
    if MASK in body.files:
        kept[MASK_NAME] = _mask(body.files[MASK][1], service, job_id)
    return kept


def _mask(data: bytes, service: JobService, job_id: str) -> bytes:
    """Judge a mask by the picture that the job has."""
    path = texture_again.front_picture(service, job_id)
    if path is None:
        raise MissingFile("There is no picture that the mask could belong to.")
    with Image.open(path, formats=["PNG", "JPEG"]) as picture:
        size = picture.size
    return normalise_mask(data, size, service.settings)
