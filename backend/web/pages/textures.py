"""Textures on the job page: small pictures of the maps, and the form that colours anew."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from backend.errors import FilesExpired, NotFound
from backend.web.pages.service import job_service
from backend.web.pages.small_pictures import KEPT_S, shrunk
from backend.web.pages.texture_form import texture_again, texture_fields
from backend.web.texture_again import submit_again

MAP_ROLES = ("albedo", "metallic", "roughness", "normal")


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/jobs/<job_id>/texture", view_func=texture, methods=["POST"])
    blueprint.add_url_rule("/jobs/<job_id>/maps/<role>/small", view_func=small_map)
    blueprint.add_app_template_global(texture_fields)
    blueprint.add_app_template_global(texture_again)


def texture(job_id: str) -> BaseResponse:
    """Take the form; leads to the page of the new job."""
    job, _, _ = submit_again(request, job_service(), job_id)
    return redirect(f"/jobs/{job.id}", 303)


def small_map(job_id: str, role: str) -> Response:
    """Send a map of the texture of a job, at most 256 pixels a side."""
    service = job_service()
    job = service.store.get(job_id)
    output = next((one for one in job.outputs if one.role == role in MAP_ROLES), None)
    if output is None:
        raise NotFound("This job has no such map.")
    response = Response(mimetype="image/webp")
    response.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    response.set_etag(f"{output.sha256}-small")
    if request.if_none_match.contains(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    path = service.artefacts.output_path(job.id, job.attempt, output.name)
    if path is None:
        raise FilesExpired
    response.set_data(shrunk(path.read_bytes()))
    return response
