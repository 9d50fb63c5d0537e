"""``/s/<token>``: one model and its downloads for whoever has the link, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, Response, current_app, make_response, render_template, send_file

from backend.errors import NotFound
from backend.jobs.access.viewer import acting_as
from backend.jobs.records import JobRecord, OutputRecord
from backend.jobs.states import JobState
from backend.web.api.answers import service_of
from backend.web.api.files import MEDIA_TYPES, SAFE_INLINE
from backend.web.pages.fragments import DOWNLOADS, size_text

PICTURE = "thumbnail"
_SANDBOX = "default-src 'none'; sandbox"

blueprint = Blueprint("share_page", __name__, url_prefix="/s/<token>")


@blueprint.get("")
def show(token: str) -> Response:
    """Show the model; 404 for a link that never was, has ended or was taken back."""
    job = _job_of(token)
    if job is None:
        return _gone()
    files = {output.role: f"/s/{token}/{output.name}" for output in _shown(job)}
    downloads = [
        {"url": files[output.role], "label": label, "size": size_text(output.bytes)}
        for output in _shown(job)
        for label, _ in [DOWNLOADS.get(output.role, ("", ""))]
        if label
    ]
    page = render_template(
        "pages/share.html",
        name=job.name,
        files=files,
        downloads=downloads,
        model=files.get("model") or files.get("parts"),
        notice=(job.facts.get("speech") or {}).get("notice"),
    )
    return _closed(make_response(page))


@blueprint.get("/<name>")
def file(token: str, name: str) -> Response:
    """Send a file of the model."""
    job = _job_of(token)
    found = next((o for o in _shown(job) if o.name == name), None) if job else None
    if job is None or found is None:
        return _gone()
    service = service_of(current_app.extensions)
    path = service.artefacts.output_path(job.id, job.attempt, name)
    if path is None:
        return _gone()
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    response = send_file(
        path,
        mimetype=media_type,
        as_attachment=media_type not in SAFE_INLINE,
        download_name=name,
        etag=found.sha256,
        conditional=True,
    )
    response.headers["Content-Security-Policy"] = _SANDBOX
    return _closed(response)


def _job_of(token: str) -> JobRecord | None:
    """Find the job whoever asks: the link is the permission."""
    service = service_of(current_app.extensions)
    if not service.settings.share_links:
        return None
    job_id = service.access.links.job_of(token)
    if job_id is None:
        return None
    with acting_as(None), suppress(NotFound):
        job = service.store.get(job_id)
        return job if job.status is JobState.SUCCEEDED else None
    return None


def _shown(job: JobRecord) -> list[OutputRecord]:
    return [output for output in job.outputs if output.role in DOWNLOADS or output.role == PICTURE]


def _gone() -> Response:
    return _closed(make_response(render_template("pages/share_gone.html"), 404))


def _closed(response: Response) -> Response:
    """Keep the address from search engines, from other sites and from shared caches."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "private, no-store"
    return response
