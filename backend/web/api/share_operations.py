"""The routes of share links, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.web.api.operations import Operation

_PATH = "/api/v1/jobs/{job_id}/share"
_TIME = {"type": "string", "format": "date-time"}

SHARE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post", _PATH, "jobs",
        "Make a link that shows the model of a job and its downloads to anybody, without a key. "
        "Off unless the server allows it.",
        {201: ("The link; its address is told once.", "ShareLink")}, (400, 403, 404, 409, 422),
        body="share",
    ),
    Operation(
        "get", _PATH, "jobs", "List the valid links of a job, without their addresses.",
        {200: ("The links.", "ShareLinks")}, (403, 404),
    ),
    Operation(
        "delete", _PATH, "jobs", "End all links of a job.", {204: ("Ended.", None)}, (403, 404),
    ),
)  # fmt: skip

SHARE_SCHEMAS: dict[str, dict[str, Any]] = {
    "ShareLink": {
        "type": "object",
        "required": ["url", "expires_at"],
        "properties": {"url": {"type": "string"}, "expires_at": _TIME},
    },
    "ShareLinks": {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["created_at", "expires_at"],
                    "properties": {"created_at": _TIME, "expires_at": _TIME},
                },
            }
        },
    },
}
SHARE_BODY = {"expires_days": {"type": "number", "exclusiveMinimum": 0, "maximum": 90}}
