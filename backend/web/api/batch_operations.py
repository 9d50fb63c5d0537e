"""What every route of batches does, as data; see ``operations``."""

from __future__ import annotations

from typing import Any

from backend.web.api.operations import Operation

_TEXT: dict[str, Any] = {"type": "string"}
_BATCH = {202: ("The batch with its items.", "Batch")}
_ONE = "/api/v1/batches/{batch_id}"
_TRACE = {"traceparent": ("W3C trace context: the runs of the jobs join this trace.", _TEXT)}

BATCH_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post", "/api/v1/batches", "batches",
        "Submit many pictures: files, a zip, or JSON lines. What is wrong with one item is told as "
        "its problem and stops no other. Items that find no room in the queue get the problem "
        "queue-full and are to be sent again; when there is room for none, the answer is 503.",
        {202: ("Accepted, at least in part.", "Batch"),
         200: ("The idempotency key had made this batch before.", "Batch")},
        (400, 403, 413, 415, 422, 429, 503, 507),
        body="batch",
        headers={"Idempotency-Key": ("Same key and same request: same batch, for 24 hours.",
                                     {"type": "string", "minLength": 1, "maxLength": 128}),
                 **_TRACE},
    ),
    Operation(
        "get", "/api/v1/batches", "batches", "List batches, newest first, without their items.",
        {200: ("A page.", "BatchPage")}, (422,),
        query={
            "limit": ("Batches per page.", {"type": "integer", "minimum": 1, "maximum": 200,
                                            "default": 50}),
            "cursor": ("From the 'next' address of the page before.", _TEXT),
        },
    ),
    Operation(
        "get", _ONE, "batches", "Look up a batch with its items.",
        {200: ("The batch, with an ETag.", "Batch"), 304: ("Not changed.", None)}, (404,),
    ),
    Operation(
        "get", f"{_ONE}/results", "batches",
        "What became of each item, a JSON line each: custom_id, status, job_id, params, outputs, "
        "error.",
        {200: ("The lines, in the order the items were sent.", "application/x-ndjson")}, (404,),
    ),
    Operation(
        "get", f"{_ONE}/archive", "batches",
        "All files of the items that succeeded so far, as <item>/<file>, with manifest.json and "
        "manifest.csv at the end.",
        {200: ("A zip, made while it is sent.", "application/zip")}, (404,),
    ),
    Operation(
        "get", f"{_ONE}/manifest", "batches", "What became of each item, as a table.",
        {200: ("The manifest, in the media type of its format.", "BatchManifest")}, (404, 422),
        query={"format": ("How it is written.", {"type": "string", "enum": ["json", "csv"],
                                                 "default": "json"})},
    ),
    Operation(
        "post", f"{_ONE}/cancel", "batches",
        "Cancel what waits and ask what runs to stop.", _BATCH, (403, 404, 409),
    ),
    Operation(
        "post", f"{_ONE}/pause", "batches",
        "Start no more of its jobs; running ones go on.", _BATCH, (403, 404, 409, 503),
    ),
    Operation(
        "post", f"{_ONE}/resume", "batches", "Let its jobs start again.", _BATCH, (403, 404),
    ),
    Operation(
        "post", f"{_ONE}/retry-failed", "batches",
        "Run its failed items again; each then points to its new job, which names the old one.",
        _BATCH, (403, 404, 409, 410, 429, 503, 507), headers=_TRACE,
    ),
)  # fmt: skip
