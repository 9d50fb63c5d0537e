"""JSON schemas of batches: what is sent, and what is answered."""

from __future__ import annotations

from typing import Any

from backend.catalog import PIPELINES
from backend.jobs.batches.records import BatchState, ItemState
from backend.jobs.batches.tables import MAX_CUSTOM_ID

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_ANY: Schema = {"type": "object", "additionalProperties": True}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_LINES = "JSON lines, one item each; may also be sent as a file."


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, **more}


_COUNTS = _object(
    {
        "total": {**_COUNT, "description": "All items; the others add up to it."},
        "queued": _COUNT,
        "running": {**_COUNT, "description": "Also those that are being canceled."},
        "succeeded": {**_COUNT, "description": "Also those whose files were removed since."},
        "failed": _COUNT,
        "canceled": _COUNT,
        "refused": {**_COUNT, "description": "Never became a job; see their problem."},
        "deleted": {**_COUNT, "description": "Their job was deleted by its user."},
    }
)
_ITEM = _object(
    {
        "custom_id": _TEXT,
        "status": {"type": "string", "enum": [state.value for state in ItemState]},
        "job_id": {**_TEXT, "description": "The newest job of the item."},
        "problem": {**_ANY, "description": "Why there is no job, as a problem document."},
    },
    required=["custom_id", "status"],
)
_STATUS: Schema = {
    "type": "string",
    "enum": [state.value for state in BatchState],
    "description": "queued: nothing has begun. running: some have. paused: what waits is held "
    "back. canceling: running jobs are being stopped. finished: every item has ended, however; "
    "the counts tell. canceled: the same, after a cancel.",
}
_HEAD: Schema = {
    "id": _TEXT,
    "name": _TEXT,
    "pipeline": _ref("PipelineName"),
    "params": {**_ANY, "description": "What the items share, as sent."},
    "status": _STATUS,
    "counts": _COUNTS,
    "progress": {"type": "number", "minimum": 0, "maximum": 100},
    "jobs_per_min": {
        "type": ["number", "null"],
        "description": "Over the last 30 jobs that ended, or over all once finished; null from "
        "fewer than three.",
    },
    "eta_s": {"type": ["number", "null"], "description": "Seconds left at that rate."},
    "created_at": _TIME,
    "started_at": _TIME_OR_NULL,
    "finished_at": _TIME_OR_NULL,
    "warnings": {"type": "array", "items": _TEXT},
    "links": {"type": "object", "additionalProperties": _TEXT},
}
_FILE_ROW = _object({"path": _TEXT, "role": _TEXT, "bytes": _COUNT, "sha256": _TEXT})
_MANIFEST_ITEM = _object(
    {
        "custom_id": _TEXT,
        "status": _TEXT,
        "folder": {**_TEXT_OR_NULL, "description": "Where its files are in the archive."},
        "job_id": _TEXT_OR_NULL,
        "seed": {"type": ["integer", "null"]},
        "params": {"type": ["object", "null"]},
        "facts": {"type": ["object", "null"]},
        "files": {"type": "array", "items": _FILE_ROW},
        "missing_files": {
            "type": "array",
            "items": _TEXT,
            "description": "Removed before they could be packed.",
        },
        "started_at": _TIME_OR_NULL,
        "finished_at": _TIME_OR_NULL,
        "elapsed_s": {"type": ["number", "null"]},
        "error_code": _TEXT_OR_NULL,
        "error_detail": _TEXT_OR_NULL,
    }
)
_HEAD_OF_MANIFEST = ("id", "name", "pipeline", "params", "status", "counts", "created_at",
                     "finished_at")  # fmt: skip

BATCH_SCHEMAS: dict[str, Schema] = {
    "Batch": _object({**_HEAD, "items": {"type": "array", "items": _ITEM}}),
    "BatchPage": _object(
        {"items": {"type": "array", "items": _object(_HEAD)}, "next": _TEXT_OR_NULL}
    ),
    "BatchManifest": _object(
        {
            **{name: _HEAD[name] for name in _HEAD_OF_MANIFEST},
            "items": {"type": "array", "items": _MANIFEST_ITEM},
        }
    ),
}


def batch_body() -> Schema:
    """Describe what may be sent to make a batch."""
    shared: Schema = {
        "pipeline": _ref("PipelineName"),
        "name": {**_TEXT, "maxLength": 200},
        "priority": {**_TEXT, "enum": ["low", "normal", "high"], "default": "normal"},
        "webhook_url": {**_TEXT, "description": "Told when no job of the batch is left to do."},
    }
    params = {"anyOf": [_ref(spec.params.__name__) for spec in PIPELINES.values()]}
    form = _object(
        {
            "file": {"type": "array", "items": _FILE, "description": "One picture each."},
            "archive": {**_FILE, "description": "A zip of pictures."},
            "items": {**_TEXT, "description": _LINES},
            "params": {**_TEXT, "description": "Shared parameters as one JSON object."},
            **shared,
        },
        description="Either 'archive', or 'file', or 'items', whose lines may name files that are "
        "sent as 'file'. Parameters of the pipeline may also be fields of their own.",
        additionalProperties={"type": "string"},
    )
    item = _item_body(params, shared["priority"])
    body = _object(
        {"items": {"type": "array", "items": item}, "params": params, **shared},
        required=["items"],
        additionalProperties=False,
    )
    content = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": body},
        "application/x-ndjson": {
            "schema": {**_TEXT, "description": f"{_LINES} What they share is in the query."}
        },
    }
    return {"required": True, "content": content}


def _item_body(params: Schema, priority: Schema) -> Schema:
    data_uri = {"type": "string", "pattern": "^data:"}
    return _object(
        {
            "custom_id": {
                **_TEXT,
                "minLength": 1,
                "maxLength": MAX_CUSTOM_ID,
                "description": "Unique in the batch; the file name, or item-<n>, if absent.",
            },
            "image": data_uri,
            "image_url": {**_TEXT, "format": "uri"},
            "file": {
                **_TEXT,
                "description": "In lines of a form: the name of a file sent with it.",
            },
            "mask": data_uri,
            "name": {**_TEXT, "maxLength": 200},
            "priority": priority,
            "params": {**params, "description": "Come before those of the batch."},
        },
        additionalProperties=False,
    )
