"""``/api/v1/jobs/<id>/webhook``: how telling the end of a job went, and telling it again."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from backend.web.api.answers import json_answer, service_of

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1/jobs")


@blueprint.get("/<job_id>/webhook")
def show(job_id: str) -> Response:
    """Describe the webhook of a job."""
    service = service_of(current_app.extensions)
    service.store.get(job_id)
    return json_answer(service.webhooks.document(job_id))


@blueprint.post("/<job_id>/webhook/resend")
def resend(job_id: str) -> Response:
    """Tell the end of a job once more, whatever came of it before."""
    return json_answer(service_of(current_app.extensions).webhooks.send_again(job_id), 202)
