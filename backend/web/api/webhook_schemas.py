"""Webhooks in the OpenAPI document: their state, and what receivers get."""

from __future__ import annotations

from typing import Any

from backend.jobs.webhooks.table import WebhookState

_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}

WEBHOOK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The webhook-id header of every attempt."},
        "url": {"type": "string"},
        "state": {
            "type": "string",
            "enum": [state.value for state in WebhookState],
            "description": "failed: after all attempts; disabled: the receiver answered 410.",
        },
        "attempts": {"type": "integer", "minimum": 0},
        "created_at": {"type": "string", "format": "date-time"},
        "next_at": {**_TIME_OR_NULL, "description": "Not before then; null when settled."},
        "delivered_at": _TIME_OR_NULL,
        "last_status": {"type": ["integer", "null"]},
        "last_error": {"type": ["string", "null"]},
    },
    "required": ["id", "url", "state", "attempts", "next_at", "last_status"],
}

_TEXT = {"type": "string"}
_MESSAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "enum": ["job.succeeded", "job.failed", "job.canceled", "batch.finished"],
        },
        "timestamp": {"type": "string", "format": "date-time"},
        "data": {"type": "object", "description": "The job or batch, as the API shows it."},
    },
    "required": ["type", "timestamp", "data"],
}
_HEADERS = {
    "webhook-id": "The same at every attempt, so that a receiver can drop doubles.",
    "webhook-timestamp": "Seconds since 1970 at this attempt.",
    "webhook-signature": "v1, and the base64 of HMAC-SHA256 over id.timestamp.body, signed with "
    "the secret of the server; several are separated by spaces.",
}

OUTGOING: dict[str, Any] = {
    "ended": {
        "post": {
            "summary": "A job or batch has ended: sent to its webhook_url.",
            "operationId": "webhook_ended",
            "parameters": [
                {"name": name, "in": "header", "description": description, "schema": _TEXT}
                for name, description in _HEADERS.items()
            ],
            "requestBody": {"content": {"application/json": {"schema": _MESSAGE}}},
            "responses": {
                "2XX": {"description": "Taken."},
                "410": {"description": "Nothing more is sent there."},
                "default": {"description": "Tried again later, six times within 18 hours."},
            },
        }
    }
}
