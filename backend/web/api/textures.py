"""``/api/v1/jobs/<id>/texture``: colour the model of a job anew, without a new shape."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from backend.profiling.recorder import continue_from
from backend.web.api.answers import job_answer, service_of
from backend.web.texture_again import submit_again

blueprint = Blueprint("textures", __name__, url_prefix="/api/v1/jobs/<job_id>/texture")


@blueprint.post("")
def ask(job_id: str) -> Response:
    """Accept other settings and other pictures; the answer is a job of ``texture_mesh``."""
    with continue_from(request.headers):
        job, is_new, warnings = submit_again(request, service_of(current_app.extensions), job_id)
    return job_answer(job, 202 if is_new else 200, warnings)
