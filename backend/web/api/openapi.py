"""``/openapi.json``: the contract as OpenAPI 3.1, made from the catalog and the route table."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from http import HTTPStatus

from flask import Blueprint, Response
from pydantic.json_schema import models_json_schema

from backend import __version__
from backend.catalog import MAX_PARTS, PIPELINES, JobOptions, PipelineName
from backend.settings import RESIDENCY_POLICIES
from backend.web.api.answers import conditional, json_answer
from backend.web.api.batch_operations import BATCH_OPERATIONS
from backend.web.api.batch_schemas import BATCH_SCHEMAS, batch_body
from backend.web.api.model_operations import MODEL_OPERATIONS, MODEL_SCHEMAS
from backend.web.api.operations import OPERATIONS, Operation
from backend.web.api.parts_operations import PART_PICK, PARTS_EDIT, PARTS_OPERATIONS, PARTS_SCHEMAS
from backend.web.api.schemas import SCHEMAS, Schema
from backend.web.api.share_operations import SHARE_BODY, SHARE_OPERATIONS, SHARE_SCHEMAS
from backend.web.api.speech_operations import SPEECH_OPERATIONS, SPEECH_SCHEMAS
from backend.web.api.texture_operations import TEXTURE_OPERATIONS, texture_body
from backend.web.api.webhook_schemas import OUTGOING
from backend.web.other_views import SIDES

_ALL = (
    *OPERATIONS,
    *MODEL_OPERATIONS,
    *PARTS_OPERATIONS,
    *TEXTURE_OPERATIONS,
    *SPEECH_OPERATIONS,
    *BATCH_OPERATIONS,
    *SHARE_OPERATIONS,
)
_OPEN = frozenset({"/healthz", "/readyz"})
_SECURITY_SCHEMES: Schema = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key, such as mk_…"},
    "login": {"type": "apiKey", "in": "cookie", "name": "mk_login"},
}
_REF = "#/components/schemas/{model}"
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_BOXES = (
    "[[x, y, z], [x, y, z]] for each part, its lowest and highest corner in the coordinates of "
    "the mesh; for complete_parts only. With face_ids, one for each part number in rising order."
)
_BOXES_FILE = f"JSON. {_BOXES}"
_VIEW = (
    "The object from the {side}; used by models of several views, "
    "in image_to_3d, image_to_parts and texture_mesh only."
)

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Send the document."""
    return conditional(json_answer(document()))


@cache
def document() -> Schema:
    """Write the OpenAPI document."""
    paths: dict[str, Schema] = {}
    for operation in _ALL:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Meshkiln",
            "version": __version__,
            "description": "Pictures in, closed textured meshes out. Errors are problem+json.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        # None at all is the way of a server that only its own machine reaches.
        "security": [{"key": []}, {"login": []}, {}],
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in _ALL)],
        "paths": paths,
        "webhooks": OUTGOING,
        "components": {
            "schemas": SCHEMAS
            | PARTS_SCHEMAS
            | BATCH_SCHEMAS
            | SHARE_SCHEMAS
            | MODEL_SCHEMAS
            | SPEECH_SCHEMAS
            | _pipeline_schemas(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _pipeline_schemas() -> dict[str, Schema]:
    """Schemas of the parameters of all pipelines, as the catalog validates them."""
    models = [spec.params for spec in PIPELINES.values()] + [JobOptions]
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas: dict[str, Schema] = found.get("$defs", {})
    names = {"type": "string", "enum": [name.value for name in PipelineName]}
    return schemas | {"PipelineName": names}


def _operation(operation: Operation) -> Schema:
    made: Schema = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body:
        made["requestBody"] = BODIES[operation.body]()
    return made


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"[a-z0-9_]+", operation.path)
    return "_".join([operation.method, *words])


def _parameters(operation: Operation) -> list[Schema]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    rest = [
        {"name": name, "in": place, "description": description, "schema": schema}
        for place, found in (("query", operation.query), ("header", operation.headers))
        for name, (description, schema) in found.items()
    ]
    return path + rest


def _responses(operation: Operation) -> dict[str, Schema]:
    made = {
        str(status): {"description": description} | _content(content)
        for status, (description, content) in operation.answers.items()
    }
    refusals = () if operation.path in _OPEN else (401, 429)
    for status in (*operation.problems, *refusals):
        problem = _content("Problem", "application/problem+json")
        made.setdefault(str(status), {"description": HTTPStatus(status).phrase} | problem)
    return made


def _content(content: str | None, media_type: str = "application/json") -> Schema:
    if content is None:
        return {}
    if "/" in content:
        return {"content": {content: {}}}
    return {"content": {media_type: {"schema": {"$ref": _REF.format(model=content)}}}}


def _submit_body() -> Schema:
    shared = {
        "pipeline": {"$ref": _REF.format(model="PipelineName")},
        "name": {"type": "string", "maxLength": 200},
        "priority": {"type": "string", "enum": ["low", "normal", "high"], "default": "normal"},
        "webhook_url": {
            "type": "string",
            "format": "uri",
            "maxLength": 2048,
            "description": "Told when the job has ended, signed as Standard Webhooks say.",
        },
    }
    forms = {
        "multipart/form-data": {"schema": _submit_form(shared)},
        "application/json": {"schema": _submit_json(shared)},
    }
    return {"required": True, "content": forms}


def _submit_form(shared: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["pipeline"],
        "anyOf": [{"required": [name]} for name in ("file", "image", "mesh", "audio")],
        "properties": {
            "file": {
                **_FILE,
                "description": "A picture; a mesh or a recording where the pipeline takes one.",
            },
            "image": {
                **_FILE,
                "description": "Beside the mesh for texture_mesh; otherwise as 'file'.",
            },
            "mesh": {**_FILE, "description": "As 'file', where the pipeline takes a mesh."},
            "audio": {**_FILE, "description": "As 'file', where the pipeline takes a recording."},
            "mask": _FILE,
            **{side: {**_FILE, "description": _VIEW.format(side=side)} for side in SIDES},
            "face_ids": _FILE,
            "boxes": {**_FILE, "description": _BOXES_FILE},
            "params": {"type": "string"},
            **shared,
        },
        "description": "Parameters as single fields, or as one JSON object in 'params'.",
        "additionalProperties": {"type": "string"},
    }


def _submit_json(shared: Schema) -> Schema:
    data_uri = {"type": "string", "pattern": "^data:"}
    any_params = {
        "anyOf": [{"$ref": _REF.format(model=spec.params.__name__)} for spec in PIPELINES.values()]
    }
    return {
        "type": "object",
        "required": ["pipeline"],
        "anyOf": [{"required": [name]} for name in ("image", "image_url", "mesh", "audio")],
        "properties": {
            "image": data_uri,
            "image_url": {
                "type": "string",
                "format": "uri",
                "description": "Fetched by the server, where its operator allows that.",
            },
            "mask": data_uri,
            "views": {
                "type": "object",
                "properties": {
                    side: {**data_uri, "description": _VIEW.format(side=side)} for side in SIDES
                },
                "additionalProperties": False,
            },
            "mesh": {**data_uri, "description": "GLB, glTF, OBJ, PLY or STL with all it needs."},
            "audio": {**data_uri, "description": "WAV, FLAC, OGG or MP3; for speech only."},
            "face_ids": {**data_uri, "description": "The part of each face, as a .npy file."},
            "boxes": {"type": "array", "maxItems": MAX_PARTS, "description": _BOXES},
            "params": any_params,
            **shared,
        },
        "description": "A mesh excludes a picture, but for texture_mesh, which needs both.",
        "additionalProperties": False,
    }


def _object_body(properties: Schema, required: list[str]) -> Schema:
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _parts_edit_body() -> Schema:
    schema = {
        "type": "object",
        "properties": PARTS_EDIT,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


BODIES: dict[str, Callable[[], Schema]] = {
    "submit": _submit_body,
    "parts_edit": _parts_edit_body,
    "texture_again": texture_body,
    "part_pick": lambda: _object_body(PART_PICK, ["point"]),
    "rename": lambda: _object_body({"name": {"type": "string", "minLength": 1}}, ["name"]),
    "gpu_control": lambda: _object_body(
        {"model": {"type": ["string", "null"]}, "drain": {"type": ["boolean", "null"]}}, []
    ),
    "gpu_settings": lambda: _object_body(
        {
            "policy": {"type": "string", "enum": [*RESIDENCY_POLICIES]},
            "idle_offload_s": {"type": "number", "minimum": -1},
            "idle_release_s": {"type": "number", "minimum": -1},
        },
        [],
    ),
    "advice_action": lambda: _object_body(
        {"pipeline": {"type": "string"}, "shape_key": {"type": "string"}}, []
    ),
    "deep_profile": lambda: _object_body({"pipeline": {"type": ["string", "null"]}}, []),
    "batch": batch_body,
    "share": lambda: _object_body(SHARE_BODY, []),
    "accept_licence": lambda: _object_body({"accept": {"const": True}}, ["accept"]),
    "retry": lambda: _object_body({"params": {"type": "object"}}, []),
}
