"""The routes of parts, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.jobs.parts.edits import MAX_AT_ONCE
from backend.web.api.operations import Operation

_PATH = "/api/v1/jobs/{job_id}/parts"
_WHOLE = {"type": "integer", "minimum": 0}
_UNKNOWN = "null where it is not known"

PARTS_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get", _PATH, "parts", "Look up how the mesh of a job is divided into parts.",
        {200: ("The parts; the ETag is their version.", "Parts"), 304: ("Not changed.", None)},
        (404, 409, 410),
        query={"version": ("An older version; the latest by default.",
                           {"type": "integer", "minimum": 1})},
    ),
    Operation(
        "patch", _PATH, "parts",
        "Edit the parts by hand: one member of the body says how. The answer is a new version. "
        "412 `stale-version`: another version than the latest was named. 428 `version-needed`: "
        "there is no If-Match, or more than one version in it; nothing was changed.",
        {200: ("The new version.", "Parts")}, (400, 404, 409, 410, 412, 422, 428),
        body="parts_edit",
        headers={"If-Match": ("The version that is edited, as its ETag; * edits the latest. "
                              "Required: without it the answer is 428.", {"type": "string"})},
    ),
    Operation(
        "get", f"{_PATH}/versions", "parts",
        "List the versions that are kept: the first one and the last hundred, newest first.",
        {200: ("The versions.", "PartVersions")}, (404, 409, 410),
    ),
    Operation(
        "get", f"{_PATH}/{{version}}/face_ids.npy", "parts",
        "The part of each face in a version: a NumPy file of int32, in the order of the faces of "
        "the job's mesh.glb.",
        {200: ("The file.", "application/octet-stream"), 304: ("Not changed.", None)},
        (404, 409, 410),
    ),
    Operation(
        "post", "/api/v1/jobs/{job_id}/picks", "parts",
        "Ask P3-SAM which part a point of the mesh is in. The answer is a job of high priority, "
        "whose pick.json holds three sets of patches, the one that is expected to fit best first; "
        'an edit {"part": patches} makes one of them a part. 409 `picking-unavailable`: the parts '
        "of the job are not from p3sam.",
        {202: ("The job; its file pick.json is a PartPick.", "Job")},
        (400, 404, 409, 410, 422, 503, 507), body="part_pick",
    ),
)  # fmt: skip

PART_PICK: dict[str, Any] = {
    "point": {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 3,
        "maxItems": 3,
        "description": "x, y and z in the coordinates of the job's mesh.",
    },
}

PARTS_EDIT: dict[str, Any] = {
    "count": _WHOLE,
    "merge": {"type": "array", "items": _WHOLE, "minItems": 2},
    "split": {**_WHOLE, "description": "Takes back the last merge of a part."},
    "part": {
        "type": "array",
        "items": _WHOLE,
        "minItems": 1,
        "uniqueItems": True,
        "description": "Patches that become a part of their own. What is left of each part that "
        "they are taken from stays one part.",
    },
    "rename": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 80}},
    "undo": {"const": True},
    "redo": {"const": True},
    "edits": {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_AT_ONCE,
        "items": {"type": "object"},
        "description": "Several edits that make one version together.",
    },
}

_NUMBERS = {"type": ["array", "null"], "items": {"type": "number"}}
_PART = {
    "type": "object",
    "required": ["index", "name", "color"],
    "properties": {
        "index": _WHOLE,
        "name": {"type": "string"},
        "color": {"type": "string", "description": "#rrggbb"},
        "faces": {"type": ["integer", "null"]},
        "area": {"type": ["number", "null"], "description": f"Square metres; {_UNKNOWN}."},
        "volume": {"type": ["number", "null"], "description": f"Cubic metres; {_UNKNOWN}."},
        "closed": {"type": ["boolean", "null"]},
        "method": {"type": ["string", "null"], "description": "How it was closed."},
        "notice": {"type": ["string", "null"], "description": "What to know about that."},
        "box": {"type": ["array", "null"], "items": {"type": "array", "items": {"type": "number"}}},
        "centre": _NUMBERS,
        "files": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Files of this part alone; none once it was edited.",
        },
    },
}

_VERSION: dict[str, Any] = {
    "type": "object",
    "required": ["version", "created_at", "count", "note"],
    "properties": {
        "version": {"type": "integer", "minimum": 1},
        "created_at": {"type": ["string", "null"], "format": "date-time"},
        "count": {**_WHOLE, "description": "Number of parts."},
        "note": {"type": "string", "description": "What it changed about the one before it."},
    },
}

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_PICK: dict[str, Any] = {
    "type": "object",
    "required": ["patch", "was_known", "masks"],
    "properties": {
        "patch": {**_WHOLE, "description": "The patch under the point."},
        "was_known": {"type": "boolean", "description": "Whether only the mask heads ran."},
        "masks": {
            "type": "array",
            "minItems": 3,
            "maxItems": 3,
            "description": "The one that is expected to fit best comes first.",
            "items": {
                "type": "object",
                "required": ["iou", "share", "patches", "is_within_a_patch"],
                "properties": {
                    "iou": {**_SHARE, "description": "How well it fits, as the network expects."},
                    "share": {**_SHARE, "description": "Of the surface."},
                    "patches": {
                        "type": "array",
                        "items": _WHOLE,
                        "description": "Patches of which it covers more than half.",
                    },
                    "is_within_a_patch": {
                        "type": "boolean",
                        "description": "It covers half of no patch; the one under the point "
                        "stands for it.",
                    },
                },
            },
        },
    },
}

PARTS_SCHEMAS: dict[str, dict[str, Any]] = {
    "PartPick": _PICK,
    "PartVersions": {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": _VERSION}},
    },
    "Parts": {
        "type": "object",
        "required": ["version", "parts", "granularity"],
        "properties": {
            "version": {"type": "integer", "minimum": 1},
            "parts": {"type": "array", "items": _PART},
            "granularity": {
                "type": "object",
                "required": ["count", "min", "max", "suggested"],
                "properties": {
                    name: {"type": "integer"} for name in ("count", "min", "max", "suggested")
                },
            },
            "edits": {
                "type": "array",
                "items": {"type": "object"},
                "description": "All edits since the engine's division; the first 'done' hold.",
            },
            "done": _WHOLE,
            "patch_parts": {
                "type": "array",
                "items": _WHOLE,
                "description": "The part of each patch.",
            },
            "patch_colors": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The colour of a part by its first patch, in every version.",
            },
        },
    },
}
