"""The routes of the models with weights, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.web.api.operations import Operation

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NUMBER_OR_NULL = {"type": ["number", "null"]}
_INTEGER_OR_NULL = {"type": ["integer", "null"]}
_YES_OR_NULL = {"type": ["boolean", "null"]}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
_LICENCE = {
    "type": ["object", "null"],
    "required": ["id", "title", "points", "needs_acceptance"],
    "properties": {
        "id": _TEXT,
        "title": _TEXT,
        "points": {**_TEXTS, "description": "What matters most, in our words."},
        "needs_acceptance": {"type": "boolean"},
    },
}
_MODEL: dict[str, Any] = {
    "id": {
        **_TEXT,
        "description": "For models of shapes and textures, the value of the parameter that "
        "chooses one.",
    },
    "title": _TEXT,
    "kind": {
        "type": "string",
        "enum": ["shape", "segmentation", "completion", "texture", "companion"],
        "description": "What it is for: shapes from pictures, finding the parts of a mesh, "
        "making parts whole, painting a mesh, or serving those that paint.",
    },
    "repository": {**_TEXT_OR_NULL, "description": "On the model hub, or of the release."},
    "state": {
        "type": "string",
        "enum": ["ready", "licence_needed", "incomplete", "absent", "unsupported", "unknown"],
    },
    "published_at": {**_TEXT_OR_NULL, "description": "Address of its page, without https."},
    "missing": {**_TEXTS, "description": "Files it lacks, and models without which it cannot run."},
    "needs": {**_TEXTS, "description": "Models without which it cannot run."},
    "uses": {**_TEXTS, "description": "Models that its authors use with it."},
    "unsupported": {**_TEXT_OR_NULL, "description": "Why it cannot be run yet."},
    "revision": {**_TEXT_OR_NULL, "description": "Commit its files are from."},
    "size_bytes": {**_INTEGER_OR_NULL, "description": "Of its files here."},
    "download_gb": {**_NUMBER_OR_NULL, "description": "What a pull gets, in 10^9 bytes."},
    "views": {**_INTEGER_OR_NULL, "description": "Most pictures of one object."},
    "steps": _INTEGER_OR_NULL,
    "guidance": _NUMBER_OR_NULL,
    "licence": _LICENCE,
    "accepted": {**_YES_OR_NULL, "description": "Whether its licence lets it be loaded."},
    "accepted_at": _TIME_OR_NULL,
    "pull_command": {**_TEXT, "description": "To be run on the server."},
}

MODEL_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get", "/api/v1/models", "models",
        "List the models with weights: which are here, what they lack, and their licences.",
        {200: ("The models; unknown is null.", "Models")},
    ),
    Operation(
        "post", "/api/v1/models/{model_id}/accept", "models",
        "Record that the licence of a model is accepted; it holds for all models under it. Needs "
        "an administrator's key where keys are in force.",
        {200: ("What is on record.", "LicenceAcceptance")}, (400, 403, 404, 422, 507),
        body="accept_licence",
    ),
)  # fmt: skip

MODEL_SCHEMAS: dict[str, dict[str, Any]] = {
    "Models": {
        "type": "object",
        "required": [
            "items",
            "reason_unavailable",
            "parts_unavailable",
            "texture_unavailable",
            "looked_at",
        ],
        "properties": {
            "items": {
                "type": "array",
                "items": {"type": "object", "required": [*_MODEL], "properties": _MODEL},
            },
            "reason_unavailable": {
                **_TEXT_OR_NULL,
                "description": "Why no model can make shapes; null when one can.",
            },
            "parts_unavailable": {
                "type": "object",
                "required": ["segmentation", "completion"],
                "properties": {"segmentation": _TEXT_OR_NULL, "completion": _TEXT_OR_NULL},
                "description": "Why no model of that kind can be run; null when one can.",
            },
            "texture_unavailable": {
                **_TEXT_OR_NULL,
                "description": "Why no model can paint; null when one can.",
            },
            "looked_at": {**_TIME_OR_NULL, "description": "Null while no worker tells."},
        },
    },
    "LicenceAcceptance": {
        "type": "object",
        "required": ["id", "licence", "accepted", "accepted_at"],
        "properties": {
            "id": _TEXT,
            "licence": _TEXT,
            "accepted": {"type": "boolean"},
            "accepted_at": _TIME_OR_NULL,
        },
    },
}
