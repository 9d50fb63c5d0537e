"""From a request to a stored batch; the API and the pages share it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import Request, g
from werkzeug.datastructures import FileStorage, MultiDict

from backend.catalog import JobOptions, parse_options, parse_params
from backend.errors import (
    FieldProblem,
    InvalidParameter,
    MalformedRequest,
    MissingFile,
    UrlUnreachable,
)
from backend.jobs.batches.drafts import ItemDraft, MadeItem, NewBatch
from backend.jobs.batches.records import BatchRecord
from backend.jobs.service import JobService, priority_of
from backend.settings import Settings
from backend.web.access.guard import check_pipeline, count_items
from backend.web.batch_names import custom_ids
from backend.web.batch_sources import (
    SentItem,
    SentItems,
    from_archive,
    from_files,
    from_lines,
    from_objects,
    part_of,
)
from backend.web.other_views import refuse_views
from backend.web.picture_fetch import check_fetching, fetch_picture
from backend.web.request_body import SubmitBody, form_fields, json_fields, parse_json
from backend.web.submission import files_of, idempotency_key
from backend.web.upload_spool import SpooledPart, UploadSpool
from backend.web.uploads import MAX_NAME, clean_text, display_name

SOURCES = ("file", "archive", "items")
FETCH_BUDGET_S = 120.0
NOTHING_SENT = "Send pictures as fields 'file', a zip as 'archive', or JSON lines as 'items'."


@dataclass(frozen=True)
class BatchBody:
    """A batch as sent: what its items share, and the items."""

    shared: SubmitBody
    sent: SentItems


def submit_batch(request: Request, service: JobService) -> tuple[BatchRecord, bool]:
    """Store the batch that a request asks for, and ring.

    Returns
    -------
    tuple
        The batch, and whether it is new (False: its idempotency key had been used).

    Raises
    ------
    BadInput, RateLimited, QueueFull, QuotaExceeded, StorageFull
    """
    service.artefacts.check_space()
    body = _read(request, service)
    if not body.sent.items:
        raise MissingFile(advice=NOTHING_SENT)
    names = custom_ids(body.sent.items)
    new, options = _new_batch(request, body, service)
    known = service.batches.find_known(new)
    if known is not None:
        return known, False
    count_items(len(body.sent.items))
    maker = _Maker(service, body.shared, options)
    drafts = [
        ItemDraft(name, maker.made(item)) for name, item in zip(names, body.sent.items, strict=True)
    ]
    return service.batches.create(new, drafts)


class _Maker:
    """Makes jobs of items.

    Parameters
    ----------
    service : JobService
        Prepares them.
    shared : SubmitBody
        Pipeline and parameters of all; an item's own come first.
    options : JobOptions
        Priority of all.
    """

    def __init__(self, service: JobService, shared: SubmitBody, options: JobOptions) -> None:
        self._service = service
        self._shared = shared
        self._options = options
        self._fetching_s = 0.0

    def made(self, item: SentItem) -> Callable[[str], MadeItem]:
        """Return what makes the job of an item, once it is its turn."""
        return lambda batch_id: self._make(batch_id, item.read())

    def _make(self, batch_id: str, body: SubmitBody) -> MadeItem:
        refuse_views(body.files, "is not taken in a batch; submit the object as a job of its own")
        own = parse_options(body.options)
        if own.webhook_url:
            raise InvalidParameter("webhook_url: is given once for the whole batch")
        priority = own.priority if "priority" in body.options else self._options.priority
        new = self._service.prepare(
            self._shared.pipeline,
            {**self._shared.params, **body.params},
            clean_text(own.name or "", MAX_NAME),
            priority=priority_of(priority),
            batch_id=batch_id,
        )
        whole = self._with_picture(body)
        name = new.name or display_name(whole.files["file"][0])
        return replace(new, name=name), lambda: files_of(whole, self._service)[1]

    def _with_picture(self, body: SubmitBody) -> SubmitBody:
        if body.image_url is None:
            if "file" not in body.files:
                raise MissingFile(advice="Give the picture as 'image'.")
            return body
        check_fetching(self._service.settings)
        if self._fetching_s > FETCH_BUDGET_S:
            raise UrlUnreachable("Fetching the pictures of this batch takes too long.")
        clock = self._service.clock
        began_s = clock.monotonic_s()
        try:
            fetched = fetch_picture(body.image_url, self._service.settings, self._service.outbound)
        finally:
            self._fetching_s += clock.monotonic_s() - began_s
        return replace(body, files={**body.files, "file": fetched})


def _new_batch(
    request: Request, body: BatchBody, service: JobService
) -> tuple[NewBatch, JobOptions]:
    """Judge what the items share."""
    shared = body.shared
    check_pipeline(shared.pipeline)
    if shared.is_for_mesh or shared.is_for_recording:
        what = "mesh" if shared.is_for_mesh else "recording"
        problem = FieldProblem("/pipeline", f"takes a {what}; batches are of pictures")
        raise InvalidParameter(f"pipeline: {problem.detail}", fields=(problem,))
    parse_params(shared.pipeline, dict(shared.params))
    options = parse_options(shared.options)
    if options.webhook_url:
        service.webhooks.check(options.webhook_url)
    key = idempotency_key(request)
    new = NewBatch(
        pipeline=shared.pipeline,
        name=clean_text(options.name or "", MAX_NAME) or f"{len(body.sent.items)} pictures",
        params=shared.params,
        webhook_url=options.webhook_url,
        idempotency_key=key,
        body_sha256=_digest(body) if key else None,
    )
    return new, options


def _read(request: Request, service: JobService) -> BatchBody:
    if request.mimetype == "application/json":
        return _from_json(parse_json(request.get_data()), service)
    if request.mimetype == "application/x-ndjson":
        fields = form_fields(request.args)
        return BatchBody(fields, from_lines(_spooled(request), service.settings))
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return _from_form(request, service)
    raise MalformedRequest(f"The content type {request.mimetype or 'none'!r} is not read.")


def _from_json(body: dict[str, Any], service: JobService) -> BatchBody:
    if "items" not in body:
        raise MissingFile(advice="Give the pictures as a list 'items'.")
    sent = from_objects(body.pop("items"), service.settings)
    shared = json_fields(body)
    if shared.files or shared.image_url or shared.mesh or shared.recording:
        raise InvalidParameter("image: belongs to an item of 'items'")
    return BatchBody(shared, sent)


def _from_form(request: Request, service: JobService) -> BatchBody:
    fields = MultiDict(list(request.form.items(multi=True)))
    text = fields.pop("items", None)
    sources = _sources(request)
    if text is not None:
        part = _spool().open_part()
        part.write(text.encode())
        sources["items"] = [FileStorage(part)]  # type: ignore[arg-type]
    shared = form_fields(fields)
    return BatchBody(shared, _from_sources(sources, service.settings))


def _from_sources(sources: dict[str, list[FileStorage]], settings: Settings) -> SentItems:
    if not sources:
        raise MissingFile(advice=NOTHING_SENT)
    files = sources.pop("file", [])
    if not sources:
        return from_files(files, settings)
    kind, (first, *others) = sources.popitem()
    if others:
        raise InvalidParameter(f"{kind}: is sent once")
    if sources or (kind == "archive" and files):
        raise InvalidParameter("archive: excludes 'file' and 'items'")
    if kind == "archive":
        return from_archive(first, settings)
    return from_lines(part_of(first), settings, files)


def _sources(request: Request) -> dict[str, list[FileStorage]]:
    """Find the files that were sent; a form's empty field is none."""
    found: dict[str, list[FileStorage]] = {}
    for name, many in request.files.lists():
        if name not in SOURCES:
            problem = FieldProblem(f"/{name[:60]}", f"must be one of {', '.join(SOURCES)}")
            raise InvalidParameter(f"{name[:60]}: not expected here.", fields=(problem,))
        chosen = [file for file in many if file.filename or part_of(file).size]
        if chosen:
            found[name] = chosen
    return found


def _spooled(request: Request) -> SpooledPart:
    """Write a body that is no form into the spool."""
    part = _spool().open_part()
    while chunk := request.stream.read(1 << 18):
        part.write(chunk)
    return part


def _spool() -> UploadSpool:
    spool: UploadSpool = g.spool
    return spool


def _digest(body: BatchBody) -> str:
    """Hash of everything that makes two batches the same."""
    shared = body.shared
    fields = {"p": shared.pipeline, "a": shared.params, "o": shared.options}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    digest.update(body.sent.sha256().encode())
    return digest.hexdigest()
