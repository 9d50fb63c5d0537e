"""The buttons of a job page that share the job, and that take the links back."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.jobs.records import job_document
from backend.units import iso
from backend.web.access.shares import LASTS_DAYS, make_link, revoke_links, shareable
from backend.web.api.answers import service_of

blueprint = Blueprint("share_forms", __name__, url_prefix="/jobs/<job_id>")


@blueprint.app_context_processor
def sharing() -> dict[str, object]:
    """Tell the page of a job whether it may be shared."""
    return {"sharing_is_on": lambda: service_of(current_app.extensions).settings.share_links}


@blueprint.post("/share")
def share(job_id: str) -> str:
    """Make a link and show it."""
    job = shareable(job_id)
    url, link = make_link(job, LASTS_DAYS)
    return render_template(
        "pages/shared.html",
        job=job_document(job),
        url=request.host_url.rstrip("/") + url,
        expires_at=iso(link.expires_at),
    )


@blueprint.post("/unshare")
def unshare(job_id: str) -> Response:
    """End all links of a job."""
    revoke_links(job_id)
    return redirect(f"/jobs/{job_id}", 303)
