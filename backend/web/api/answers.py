"""How jobs are written into answers: JSON with an ETag, or HTML when htmx asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from flask import Response, request

from backend.jobs.records import JobRecord, job_document
from backend.jobs.service import JobService
from backend.web.security import csrf_token


def service_of(extensions: dict[str, Any]) -> JobService:
    """Return the job service of the app."""
    service: JobService = extensions["meshkiln"]
    return service


def json_answer(document: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    body = json.dumps(document, separators=(",", ":"))
    return Response(body, status, mimetype="application/json")


def job_answer(job: JobRecord, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """Answer with a job; a new one (202) comes with its address.

    ``warnings`` concern this request and are shown before those of the job.
    """
    document = job_document(job)
    document["warnings"] = [*warnings, *document["warnings"]]
    if request.headers.get("HX-Request") == "true":
        from backend.web.pages.fragments import render_job_live

        return Response(render_job_live(document, csrf=csrf_token()), mimetype="text/html")
    response = json_answer(document, status)
    response.headers["Location"] = document["links"]["self"]
    return response


def conditional(response: Response) -> Response:
    """Add an ETag over the body; answer 304 when the client has it already."""
    body = response.get_data()
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response
