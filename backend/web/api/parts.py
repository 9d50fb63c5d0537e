"""``/api/v1/jobs/<id>/parts``: how a mesh is divided, edits by hand, and versions of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, request

from backend.errors import NotFound, VersionNeeded
from backend.jobs.parts.edits import KNOWN, MAX_NAME
from backend.jobs.parts.service import PartsOfJob, PartsService
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import body_object
from backend.web.uploads import clean_text

MAX_DIGITS = 9
EXTENSION = "meshkiln.parts"

blueprint = Blueprint("parts", __name__, url_prefix="/api/v1/jobs/<job_id>/parts")


@blueprint.get("")
def show(job_id: str) -> Response:
    """Look up the parts; the ETag is their version. ``?version=`` asks for an older one."""
    text = request.args.get("version")
    parts = parts_service().look(job_id, None if text is None else version_number(text))
    response = _answer(parts)
    response.make_conditional(request)
    return response


@blueprint.patch("")
def change(job_id: str) -> Response:
    """Edit the parts of the version in ``If-Match``; the answer is a new version."""
    edited = _edited_version()
    body = body_object(request, KNOWN)
    return _answer(parts_service().change(job_id, edited, with_clean_names(body)))


@blueprint.get("/versions")
def versions(job_id: str) -> Response:
    """List the versions that are kept: when each was made, and what it changed."""
    response = json_answer(parts_service().versions(job_id))
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.get("/<version>/face_ids.npy")
def face_ids(job_id: str, version: str) -> Response:
    """Send the part of each face: (faces,) int32, in the order of the job's own mesh."""
    parts, found = parts_service().face_ids(job_id, version_number(version))
    response = Response(found.pieces, mimetype="application/octet-stream")
    response.call_on_close(found.close)
    response.content_length = found.size_bytes
    name = f"face_ids-v{parts.version.number}.npy"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{parts.job.id}-{parts.job.attempt}-{parts.version.number}")
    response.make_conditional(request)
    return response


def version_number(text: str) -> int:
    """Read a version of an address; raises NotFound."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise NotFound("A version is a whole number.")
    return int(text)


def with_clean_names(edit: Mapping[str, Any]) -> dict[str, Any]:
    """Return an edit whose names can be shown; what is wrong with it otherwise is told later."""
    made = dict(edit)
    if isinstance(made.get("edits"), list):
        made["edits"] = [
            with_clean_names(item) if isinstance(item, dict) else item for item in made["edits"]
        ]
    if isinstance(made.get("rename"), dict):
        made["rename"] = {
            key: clean_text(name, MAX_NAME) if isinstance(name, str) else name
            for key, name in made["rename"].items()
        }
    return made


def parts_service() -> PartsService:
    """The parts of the running app's jobs; made once, since it looks up which tables there are."""
    extensions = current_app.extensions
    if EXTENSION not in extensions:
        extensions[EXTENSION] = PartsService(service_of(extensions))
    made: PartsService = extensions[EXTENSION]
    return made


def _answer(parts: PartsOfJob) -> Response:
    response = json_answer(parts.document())
    response.set_etag(str(parts.version.number))
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _edited_version() -> int | None:
    """Read If-Match: a version, or None for a star, which takes whatever is there."""
    tags = request.if_match
    if tags.star_tag:
        return None
    given = [*tags.as_set(include_weak=True)]
    if len(given) != 1:
        raise VersionNeeded
    tag = given[0]
    return int(tag) if tag.isascii() and tag.isdecimal() and len(tag) <= MAX_DIGITS else 0
