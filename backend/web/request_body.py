"""Reads what a submit sends: multipart or JSON, with every doubt answered by an error."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Request
from werkzeug.datastructures import MultiDict

from backend.catalog import JobOptions
from backend.errors import (
    FieldProblem,
    InvalidParameter,
    MalformedRequest,
    MissingFile,
    UrlNotAllowed,
)
from backend.web.security import CSRF_FIELD

MAX_DEPTH = 32
FILE_FIELDS = ("file", "mask")


@dataclass(frozen=True)
class SubmitBody:
    """A submit as sent, not yet validated.

    Parameters
    ----------
    pipeline : str
    params, options : dict
        Parameters of the pipeline; name, priority and webhook.
    files : mapping of str to (filename, bytes)
        'file' and 'mask'.
    image_url : str or None
        Where the picture is, instead of a 'file'.
    """

    pipeline: str
    params: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, tuple[str | None, bytes]] = field(default_factory=dict)
    image_url: str | None = None


def read_submit(request: Request) -> SubmitBody:
    """Read a submit; raises MalformedRequest, MissingFile, InvalidParameter, UrlNotAllowed."""
    if request.mimetype == "application/json":
        body = json_fields(parse_json(request.get_data()))
    elif request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        body = _from_form(request)
    else:
        raise MalformedRequest(f"The content type {request.mimetype or 'none'!r} is not read.")
    if "file" not in body.files and body.image_url is None:
        raise MissingFile
    return body


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


def form_fields(form: MultiDict[str, str]) -> SubmitBody:
    """Read the fields of a form, without its files."""
    fields = _single_values(form)
    fields.pop(CSRF_FIELD, None)
    pipeline = str(fields.pop("pipeline", "image_to_3d"))
    _refuse_address("image_url", fields.get("image_url"))
    packed = fields.pop("params", None)
    if packed:
        fields.update(parse_json(str(packed).encode()))
    params, options = split_options({k: v for k, v in fields.items() if v != ""})
    return SubmitBody(pipeline, params, options)


def _from_form(request: Request) -> SubmitBody:
    fields = form_fields(request.form)
    files = {}
    for name, many in request.files.lists():
        if name not in FILE_FIELDS or len(many) > 1:
            problem = FieldProblem(f"/{name}", "send one 'file' and at most one 'mask'")
            raise InvalidParameter(f"{name}: not expected here.", fields=(problem,))
        if many[0].filename or name == "file":
            files[name] = (many[0].filename, many[0].read())
    if files.get("file") == ("", b""):  # a form sent without choosing a file
        raise MissingFile
    return replace(fields, files=files)


def json_fields(body: dict[str, Any]) -> SubmitBody:
    """Read a submit from a JSON object, which is used up."""
    image_url = _image_url(body)
    files: dict[str, tuple[str | None, bytes]] = {}
    for source, target in (("image", "file"), ("mask", "mask")):
        if source in body:
            files[target] = (None, _data_uri(source, body.pop(source)))
    nested = body.pop("params", {})
    if not isinstance(nested, dict):
        problem = FieldProblem("/params", "must be an object")
        raise InvalidParameter("params: must be an object", fields=(problem,))
    pipeline = str(body.pop("pipeline", "image_to_3d"))
    params, options = split_options({**body, **nested})
    return SubmitBody(pipeline, params, options, files, image_url)


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
    problem = FieldProblem(f"/{name}", "must be data:image/…;base64,…")
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
