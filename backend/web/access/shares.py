"""Share links: made and ended by whoever sees the job, off unless the server allows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, request

from backend.errors import JobNotFinished, SharingOff
from backend.jobs.access.share_links import ShareLink
from backend.jobs.records import JobRecord
from backend.jobs.states import JobState
from backend.units import iso
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import body_object, wrong_field

LASTS_DAYS, LONGEST_DAYS = 7, 90
API = "/api/v1/jobs/<job_id>/share"

blueprint = Blueprint("shares", __name__)


@blueprint.post(API)
def share(job_id: str) -> Response:
    """Make a link to a job: 201; the address is told once."""
    body = body_object(request, frozenset({"expires_days"}))
    url, link = make_link(shareable(job_id), _days(body.get("expires_days")))
    return json_answer({"url": url, "expires_at": iso(link.expires_at)}, 201)


@blueprint.get(API)
def index(job_id: str) -> Response:
    """List the valid links of a job, without their addresses."""
    links = service_of(current_app.extensions).access.links.of_job(shareable(job_id).id)
    return json_answer({"items": [_document(link) for link in links]})


@blueprint.delete(API)
def revoke(job_id: str) -> Response:
    """End all links of a job."""
    revoke_links(job_id)
    return Response(status=204)


def make_link(job: JobRecord, days: float) -> tuple[str, ShareLink]:
    """Make a link to a job; returns its address, and raises JobNotFinished."""
    if job.status is not JobState.SUCCEEDED:
        raise JobNotFinished(
            f"The job is {job.status}.", advice="Only a job with a model can be shared."
        )
    access = service_of(current_app.extensions).access
    token, link = access.links.create(job.id, timedelta(days=days))
    access.audit.record(
        "share.created", job.id, client=request.remote_addr, expires_at=iso(link.expires_at)
    )
    return f"/s/{token}", link


def revoke_links(job_id: str) -> None:
    """End links, also those that were made before sharing was switched off."""
    service = service_of(current_app.extensions)
    job = service.store.get(job_id)
    count = service.access.links.revoke(job.id)
    if count:
        service.access.audit.record(
            "share.revoked", job.id, client=request.remote_addr, links=count
        )


def shareable(job_id: str) -> JobRecord:
    """Look up a job that may be shared; raises NotFound, SharingOff."""
    service = service_of(current_app.extensions)
    job = service.store.get(job_id)
    if not service.settings.share_links:
        raise SharingOff
    return job


def _days(given: object) -> float:
    if given is None:
        return LASTS_DAYS
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not 0 < float(str(given)) <= LONGEST_DAYS:
        raise wrong_field("expires_days", f"must be a number of days, at most {LONGEST_DAYS}")
    return float(str(given))


def _document(link: ShareLink) -> dict[str, Any]:
    return {"created_at": iso(link.created_at), "expires_at": iso(link.expires_at)}
