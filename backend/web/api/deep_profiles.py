"""``/api/performance/deep-profile``: profile the next job in depth, and fetch what came of it."""

from __future__ import annotations

import importlib.util
from typing import Any

from flask import Blueprint, Response, current_app, request, send_file, url_for

from backend.errors import NotFound
from backend.jobs.access.job_owners import visible_jobs
from backend.jobs.service import JobService
from backend.profiling.deep_profile import INSTALL_ADVICE, DeepFile
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import body_object, wrong_field

MEDIA_TYPES = {
    DeepFile.CALL_TREE: "text/html",
    DeepFile.TORCH_TRACE: "application/gzip",
    DeepFile.SUMMARY: "application/json",
}
# The call tree brings its script along. It may run, but reach nothing: no network, no cookies.
CALL_TREE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline' data:; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts"
)
NO_POLICY_NEEDED = "default-src 'none'; sandbox"
MISSING = {"detail": "pyinstrument is not installed.", "advice": INSTALL_ADVICE}

blueprint = Blueprint("deep_profiles", __name__, url_prefix="/api/performance/deep-profile")


@blueprint.get("")
def show() -> Response:
    """Tell whether the next job will be profiled, and what was profiled."""
    return json_answer(deep_document(service_of(current_app.extensions)))


@blueprint.post("")
def arm() -> Response:
    """Profile the next job, of one pipeline or of any; 409 while another order stands."""
    pipeline = body_object(request, frozenset({"pipeline"})).get("pipeline")
    if pipeline is not None and not isinstance(pipeline, str):
        raise wrong_field("pipeline", "must be a name or null")
    service = service_of(current_app.extensions)
    service.deep_profiles.arm(pipeline)
    return json_answer(deep_document(service), 202)


@blueprint.delete("")
def disarm() -> Response:
    """Take the order back; a job that runs already is profiled to its end."""
    service = service_of(current_app.extensions)
    service.deep_profiles.disarm()
    return json_answer(deep_document(service))


@blueprint.get("/<job_id>/<name>")
def file(job_id: str, name: str) -> Response:
    """Send a file of a profile: the call tree to look at, the others to keep."""
    service = service_of(current_app.extensions)
    if not visible_jobs(service.store.engine, [job_id]):
        raise NotFound("There is no such file of a deep profile.")
    path = service.deep_profiles.file(job_id, name)
    is_page = name == DeepFile.CALL_TREE
    response = send_file(
        path,
        mimetype=MEDIA_TYPES[DeepFile(name)],
        as_attachment=not is_page or request.args.get("download") == "1",
        download_name=f"{job_id}-{name}",
        conditional=True,
    )
    response.headers["Content-Security-Policy"] = CALL_TREE_POLICY if is_page else NO_POLICY_NEEDED
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def deep_document(service: JobService) -> dict[str, Any]:
    """Tell the state, and what is missing for a profile, JSON-ready."""
    document = service.deep_profiles.document()
    jobs = [item["job_id"] for item in document["items"]]
    seen = visible_jobs(service.store.engine, jobs)
    has_sampler = importlib.util.find_spec("pyinstrument") is not None
    items = [item for item in document["items"] if item["job_id"] in seen]
    return document | {
        "job_id": document["job_id"] if document["job_id"] in seen else None,
        "missing": [] if has_sampler else [MISSING],
        "items": [item | {"files": _files(item)} for item in items],
    }


def _files(item: dict[str, Any]) -> list[dict[str, Any]]:
    names = {**item["files"], DeepFile.SUMMARY.value: None}
    return [
        {
            "name": name,
            "bytes": size_bytes,
            "url": url_for("deep_profiles.file", job_id=item["job_id"], name=name),
        }
        for name, size_bytes in names.items()
    ]
