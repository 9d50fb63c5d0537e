"""Reads what a submit sends: multipart or JSON, with every doubt answered by an error."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Request, current_app
from werkzeug.datastructures import FileStorage, MultiDict

from backend.catalog import JobOptions, PipelineName, Upload
from backend.errors import (
    FieldProblem,
    InvalidParameter,
    MalformedRequest,
    MissingFile,
    UploadTooLarge,
    UrlNotAllowed,
)
from backend.units import MB
from backend.web.audio_uploads import NO_RECORDING, SentRecording
from backend.web.file_fields import (
    FILE_FIELDS,
    MAIN,
    PART_FIELDS,
    field_of,
    not_expected,
    upload_of,
)
from backend.web.mesh_uploads import SentMesh
from backend.web.other_views import SIDES, check_views
from backend.web.security import CSRF_FIELD
from backend.web.texture_inputs import PICTURE, check_has_picture, picture_field

MAX_DEPTH = 32
DATA_FIELDS = ("mask", "face_ids")
NO_MESH = "Send the mesh in the multipart field 'file', or as a data URI 'mesh' in JSON."


@dataclass(frozen=True)
class SubmitBody:
    """A submit as sent, not yet validated.

    Parameters
    ----------
    pipeline : str
    params, options : dict
        Parameters of the pipeline; name, priority and webhook.
    files : mapping of str to (filename, bytes)
        'file', 'image', 'mask', 'face_ids', 'boxes', 'left', 'back' and 'right'.
    image_url : str or None
        Where the picture is, instead of a 'file'.
    mesh : SentMesh or None
        What a pipeline is sent that takes a mesh; it is not among the files.
    recording : SentRecording or None
        What a pipeline is sent that takes a recording; it is not among the files.
    """

    pipeline: str
    params: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, tuple[str | None, bytes]] = field(default_factory=dict)
    image_url: str | None = None
    mesh: SentMesh | None = None
    recording: SentRecording | None = None

    @property
    def upload(self) -> Upload:
        """What the pipeline takes; one that does not exist takes pictures."""
        return upload_of(self.pipeline)

    @property
    def is_for_mesh(self) -> bool:
        """Whether the pipeline takes a mesh."""
        return self.upload is Upload.MESH

    @property
    def is_for_recording(self) -> bool:
        """Whether the pipeline takes a recording."""
        return self.upload is Upload.AUDIO


def read_submit(request: Request) -> SubmitBody:
    """Read a submit.

    Raises
    ------
    MalformedRequest, MissingFile, InvalidParameter, UrlNotAllowed, UploadTooLarge
    """
    return with_own_files(read_fields(request))


def read_fields(request: Request, pipeline: str = PipelineName.IMAGE_TO_3D) -> SubmitBody:
    """Read what was sent, whatever its pipeline needs; ``pipeline`` holds where none is named.

    Raises
    ------
    MalformedRequest, InvalidParameter, UrlNotAllowed, UploadTooLarge
    """
    if request.mimetype == "application/json":
        return json_fields(parse_json(request.get_data()), pipeline)
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return _from_form(request, pipeline)
    raise MalformedRequest(f"The content type {request.mimetype or 'none'!r} is not read.")


def with_own_files(body: SubmitBody) -> SubmitBody:
    """Check that a submit has what its pipeline takes; raises MissingFile, InvalidParameter."""
    check_views(body.pipeline, body.files)
    if body.is_for_recording:
        return _with_recording(body)
    if body.recording is not None:
        raise not_expected("audio", body.pipeline)
    if body.is_for_mesh:
        return _with_mesh(body)
    own = (PICTURE, *PART_FIELDS)
    of_mesh = ["mesh"] * (body.mesh is not None) + [n for n in own if n in body.files]
    if of_mesh:
        raise not_expected(of_mesh[0], body.pipeline)
    if "file" not in body.files and body.image_url is None:
        raise MissingFile
    return body


def _with_recording(body: SubmitBody) -> SubmitBody:
    """Check that a recording was sent, and nothing that belongs to pictures or meshes."""
    others = [PICTURE if name == "file" else name for name in body.files]
    others += ["mesh"] * (body.mesh is not None) + ["image_url"] * (body.image_url is not None)
    if others:
        raise not_expected(others[0], body.pipeline)
    if body.recording is None:
        raise MissingFile("No recording was sent.", advice=NO_RECORDING)
    return body


def _with_mesh(body: SubmitBody) -> SubmitBody:
    """Check that a mesh was sent, and nothing that belongs to pictures."""
    of_parts = [name for name in PART_FIELDS if name in body.files]
    if of_parts and body.pipeline != PipelineName.COMPLETE_PARTS:
        raise _only_for_closed_parts(of_parts[0])
    is_coloured = body.pipeline == PipelineName.TEXTURE_MESH
    for name in ("file",) if is_coloured else ("mask", "file", PICTURE):
        if name in body.files:
            raise not_expected(PICTURE if name == "file" else name, body.pipeline)
    if body.image_url is not None and not is_coloured:
        raise not_expected("image_url", body.pipeline)
    if body.mesh is None:
        raise MissingFile(advice=NO_MESH)
    if is_coloured:
        check_has_picture(body.files, body.image_url)
    return body


def _only_for_closed_parts(name: str) -> InvalidParameter:
    what = "part numbers" if name == "face_ids" else "boxes"
    return InvalidParameter(
        f"{name}: {what} are only taken where parts are closed.",
        advice=f"Choose closed parts (complete_parts), or leave the {what} out.",
        fields=(FieldProblem(f"/{name}", "is not for this pipeline"),),
    )


def parse_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object strictly: no duplicate keys, no NaN, no deep nesting."""
    try:
        value = json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The body must be a JSON object.")
    _check_depth(value, MAX_DEPTH)
    return value


def split_options(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate name, priority and webhook from the pipeline's own parameters."""
    options = {name: fields.pop(name) for name in JobOptions.model_fields if name in fields}
    return fields, options


def form_fields(form: MultiDict[str, str], pipeline: str = PipelineName.IMAGE_TO_3D) -> SubmitBody:
    """Read the fields of a form, without its files."""
    fields = _single_values(form)
    fields.pop(CSRF_FIELD, None)
    pipeline = str(fields.pop("pipeline", pipeline))
    _refuse_address("image_url", fields.get("image_url"))
    packed = fields.pop("params", None)
    if packed:
        fields.update(parse_json(str(packed).encode()))
    params, options = split_options({k: v for k, v in fields.items() if v != ""})
    return SubmitBody(pipeline, params, options)


def _from_form(request: Request, pipeline: str) -> SubmitBody:
    fields = form_fields(request.form, pipeline)
    files: dict[str, tuple[str | None, bytes]] = {}
    mesh: SentMesh | None = None
    recording: SentRecording | None = None
    for sent_as, many in request.files.lists():
        name = field_of(sent_as, fields.pipeline)
        is_second = len(many) > 1 or (name != sent_as and name in request.files)
        if name not in FILE_FIELDS or is_second:
            detail = "is sent once" if is_second else "is not for this pipeline"
            raise not_expected(sent_as, fields.pipeline, detail)
        if name == MAIN and fields.is_for_mesh:
            mesh = SentMesh(many[0].filename, many[0].stream) if _is_chosen(many[0]) else None
        elif name == MAIN and fields.is_for_recording:
            sent = SentRecording(many[0].filename, many[0].stream)
            recording = sent if _is_chosen(many[0]) else None
        elif many[0].filename or name == MAIN:
            held = sum(len(data) for _, data in files.values())
            files[name] = (many[0].filename, read_small(many[0], held))
    if files.get("file") == ("", b""):  # a form sent without choosing a file
        raise MissingFile
    return replace(fields, files=files, mesh=mesh, recording=recording)


def _is_chosen(file: FileStorage) -> bool:
    """Whether a form was sent with a file chosen; its bytes stay where they lie, in the spool."""
    return bool(file.filename or file.stream.read(1))


def read_small(file: FileStorage, held_bytes: int = 0) -> bytes:
    """Read a file that has to fit into memory.

    Parameters
    ----------
    held_bytes : int
        What the files of the request before it hold; the limit is for all of them.

    Raises
    ------
    UploadTooLarge
    """
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    left = limit - held_bytes
    data = file.stream.read(left + 1)
    if len(data) > left:
        raise UploadTooLarge(f"The pictures may have {limit // MB:,} MB at most.")
    return data


def json_fields(body: dict[str, Any], pipeline: str = PipelineName.IMAGE_TO_3D) -> SubmitBody:
    """Read a submit from a JSON object, which is used up."""
    image_url = _image_url(body)
    pipeline = str(body.pop("pipeline", pipeline))
    targets = {PICTURE: picture_field(pipeline)} | {name: name for name in DATA_FIELDS}
    files: dict[str, tuple[str | None, bytes]] = {
        target: (None, _data_uri(source, body.pop(source)))
        for source, target in targets.items()
        if source in body
    }
    if "boxes" in body:
        files["boxes"] = (None, json.dumps(body.pop("boxes")).encode())
    files |= _views(body)
    sent = _data_uri("mesh", body.pop("mesh")) if "mesh" in body else None
    mesh = None if sent is None else SentMesh.of_bytes(None, sent)
    heard = _data_uri("audio", body.pop("audio")) if "audio" in body else None
    recording = None if heard is None else SentRecording.of_bytes(None, heard)
    nested = body.pop("params", {})
    if not isinstance(nested, dict):
        problem = FieldProblem("/params", "must be an object")
        raise InvalidParameter("params: must be an object", fields=(problem,))
    params, options = split_options({**body, **nested})
    return SubmitBody(pipeline, params, options, files, image_url, mesh, recording)


def _views(body: dict[str, Any]) -> dict[str, tuple[str | None, bytes]]:
    """Take the pictures from other sides out of a JSON body."""
    views = body.pop("views", None)
    if views is None:
        return {}
    wrong = [name for name in views if name not in SIDES] if isinstance(views, dict) else [""]
    if wrong:
        pointer = f"/views/{wrong[0][:60]}" if wrong[0] else "/views"
        problem = FieldProblem(pointer, f"an object with some of {', '.join(SIDES)}")
        raise InvalidParameter(f"views: {problem.detail}", fields=(problem,))
    return {side: (None, _data_uri(f"views/{side}", value)) for side, value in views.items()}


def _image_url(body: dict[str, Any]) -> str | None:
    """Take the address of the picture out of a JSON body."""
    url = body.pop("image_url", None)
    if url is None:
        return None
    if not isinstance(url, str) or not url or "image" in body:
        problem = FieldProblem("/image_url", "must be an address, and excludes 'image'")
        raise InvalidParameter(f"image_url: {problem.detail}", fields=(problem,))
    return url


def _data_uri(name: str, value: object) -> bytes:
    kind = "image/…" if name in ("image", "mask") or name.startswith("views/") else "…"
    problem = FieldProblem(f"/{name}", f"must be data:{kind};base64,…")
    if not isinstance(value, str) or not value.startswith("data:"):
        if isinstance(value, str) and "://" in value[:20]:
            _refuse_address(name, value)
        raise InvalidParameter(f"{name}: {problem.detail}", fields=(problem,))
    head, comma, tail = value.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidParameter(f"{name}: {problem.detail}", fields=(problem,))
    try:
        return base64.b64decode(tail, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"{name}: not valid base64", fields=(problem,)) from error


def _refuse_address(name: str, value: object) -> None:
    """Refuse an address in a field that takes none."""
    if value:
        problem = FieldProblem(f"/{name}", "is not where an address belongs")
        raise UrlNotAllowed(
            "An address is only taken as image_url in a JSON body.", fields=(problem,)
        )


def _single_values(form: MultiDict[str, str]) -> dict[str, Any]:
    """Read form fields; of a checkbox with its hidden twin the last value counts."""
    return {name: values[-1] for name, values in form.lists()}


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} appears twice")
        found[key] = value
    return found


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise MalformedRequest("The JSON is nested too deeply.")
    children = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for child in children:
            _check_depth(child, left - 1)
