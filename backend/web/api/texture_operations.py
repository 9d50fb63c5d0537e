"""The route that colours a model anew, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.web.api.operations import Operation
from backend.web.other_views import SIDES

_FILE: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
_DATA_URI: dict[str, Any] = {"type": "string", "pattern": "^data:"}

TEXTURE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post", "/api/v1/jobs/{job_id}/texture", "jobs",
        "Colour the model of a finished job anew: other settings, another picture, the same shape. "
        "The answer is a job of texture_mesh. Parameters that are not named stay as they were. "
        "409 `texture-unavailable`: the job has no model.",
        {202: ("The job.", "Job")},
        (400, 404, 409, 410, 413, 415, 422, 503, 507),
        body="texture_again",
    ),
)  # fmt: skip


def texture_body() -> dict[str, Any]:
    """Schema of the request, as a form and as JSON."""
    options = {"name": {"type": "string", "maxLength": 200}}
    form = {
        "type": "object",
        "properties": dict.fromkeys(("image", "mask", *SIDES), _FILE)
        | {"params": {"type": "string"}}
        | options,
        "description": "Parameters as single fields, or as one JSON object in 'params'.",
        "additionalProperties": {"type": "string"},
    }
    views = {
        "type": "object",
        "properties": dict.fromkeys(SIDES, _DATA_URI),
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "properties": {
            "image": {
                **_DATA_URI,
                "description": "In place of all pictures of the job; those are used if absent.",
            },
            "mask": _DATA_URI,
            "views": views,
            "params": {"$ref": "#/components/schemas/TextureMeshParams"},
        }
        | options,
    }
    schemas = {"multipart/form-data": form, "application/json": body}
    return {
        "required": False,
        "content": {kind: {"schema": schema} for kind, schema in schemas.items()},
    }
