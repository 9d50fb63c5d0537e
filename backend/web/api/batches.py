"""``/api/v1/batches``: many jobs at once, and their results as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, request, url_for

from backend.jobs.batches.archive import archive_chunks
from backend.jobs.batches.folder_names import FolderNames
from backend.jobs.batches.manifest import manifest_csv, manifest_document, manifest_row
from backend.jobs.batches.records import BatchRecord, batch_document
from backend.jobs.batches.results import result_document
from backend.jobs.batches.service import BatchService
from backend.jobs.service import JobService
from backend.profiling.recorder import continue_from
from backend.web.access.guard import count_items
from backend.web.api.answers import conditional, json_answer, service_of
from backend.web.api.jobs import page_limit
from backend.web.batch_submission import submit_batch
from backend.web.json_body import wrong_field
from backend.web.large_uploads import takes_many_files

MANIFEST_FORMATS = ("json", "csv")

blueprint = Blueprint("batches", __name__, url_prefix="/api/v1/batches")


@blueprint.post("")
@takes_many_files
def submit() -> Response:
    """Accept a batch: 202, or 200 when its idempotency key had been used for the same one."""
    with continue_from(request.headers):
        batch, is_new = submit_batch(request, _jobs())
    if request.headers.get("HX-Request") == "true":
        response = Response("", 200)
        response.headers["HX-Redirect"] = f"/batches/{batch.id}"
        return response
    return _answer(batch, 202 if is_new else 200)


@blueprint.get("")
def index() -> Response:
    """List batches, newest first."""
    page = _batches().page(page_limit(), request.args.get("cursor") or None)
    following = None
    if page.next_cursor:
        kept = {key: value for key, value in request.args.items() if key != "cursor"}
        following = url_for("batches.index", **kept, cursor=page.next_cursor)  # type: ignore[arg-type]
    return json_answer({"items": [batch_document(b) for b in page.items], "next": following})


@blueprint.get("/<batch_id>")
def show(batch_id: str) -> Response:
    """Look up a batch with its items."""
    return conditional(_answer(_batches().get(batch_id)))


@blueprint.get("/<batch_id>/results")
def results(batch_id: str) -> Response:
    """Send a JSON line for each item."""
    batches = _batches()
    found = batches.results(batches.get(batch_id).id)

    def lines() -> Iterator[str]:
        for result in found:
            yield json.dumps(result_document(result), separators=(",", ":")) + "\n"

    return Response(lines(), mimetype="application/x-ndjson")


@blueprint.get("/<batch_id>/archive")
def archive(batch_id: str) -> Response:
    """Send the files of all items that succeeded, and a manifest, as one zip."""
    service, batches = _jobs(), _batches()
    batch = batches.get(batch_id)
    chunks = archive_chunks(batch, batches.results(batch.id), service.artefacts)
    return _attachment(Response(chunks, mimetype="application/zip"), batch, "zip")


@blueprint.get("/<batch_id>/manifest")
def manifest(batch_id: str) -> Response:
    """Tell what became of each item, as JSON or CSV."""
    kind = request.args.get("format", MANIFEST_FORMATS[0])
    if kind not in MANIFEST_FORMATS:
        raise wrong_field("format", f"must be one of: {', '.join(MANIFEST_FORMATS)}")
    batches, folders = _batches(), FolderNames()
    batch = batches.get(batch_id)
    rows: list[dict[str, Any]] = [
        manifest_row(result, folders.take(result.item.custom_id))
        for result in batches.results(batch.id)
    ]
    if kind == "json":
        return json_answer(manifest_document(batch, rows))
    answer = Response(manifest_csv(rows), content_type="text/csv; charset=utf-8")
    return _attachment(answer, batch, "csv")


@blueprint.post("/<batch_id>/cancel")
def cancel(batch_id: str) -> Response:
    """Stop everything of a batch."""
    return _answer(_batches().cancel(batch_id), 202)


@blueprint.post("/<batch_id>/pause")
def pause(batch_id: str) -> Response:
    """Start no more jobs of a batch; running ones go on."""
    return _answer(_batches().pause(batch_id), 202)


@blueprint.post("/<batch_id>/resume")
def resume(batch_id: str) -> Response:
    """Let the jobs of a paused batch start again."""
    return _answer(_batches().resume(batch_id), 202)


@blueprint.post("/<batch_id>/retry-failed")
def retry_failed(batch_id: str) -> Response:
    """Run the failed items again as new jobs."""
    count_items(_batches().get(batch_id).counts.failed)
    with continue_from(request.headers):
        return _answer(_batches().retry_failed(batch_id), 202)


def _jobs() -> JobService:
    return service_of(current_app.extensions)


def _batches() -> BatchService:
    return _jobs().batches


def _answer(batch: BatchRecord, status: int = 200) -> Response:
    document = batch_document(batch, _batches().items(batch.id))
    response = json_answer(document, status)
    response.headers["Location"] = document["links"]["self"]
    return response


def _attachment(response: Response, batch: BatchRecord, ending: str) -> Response:
    name = f"meshkiln-batch-{batch.id}.{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
