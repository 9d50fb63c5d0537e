"""The forms that take a mesh, without JavaScript too."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from backend.errors import MissingFile
from backend.web.file_fields import PART_FIELDS
from backend.web.large_uploads import takes_a_mesh
from backend.web.mesh_uploads import SentMesh
from backend.web.pages.mesh_form import mesh_fields, without_foreign
from backend.web.pages.mesh_tool_form import report_rows
from backend.web.pages.service import job_service
from backend.web.request_body import form_fields, read_small, with_own_files
from backend.web.submission import submit_body
from backend.web.texture_inputs import FIELDS

BESIDE = (*PART_FIELDS, *FIELDS)


def install(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/submit-mesh", view_func=submit_mesh, methods=["POST"])
    blueprint.add_app_template_global(report_rows)
    blueprint.add_app_template_global(mesh_fields)


@takes_a_mesh
def submit_mesh() -> Response:
    """Take the form; leads to the page of its job."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise MissingFile("No mesh was chosen.")
    sent = SentMesh(file.filename, file.stream)
    fields = form_fields(request.form)
    params = without_foreign(fields.pipeline, fields.params)
    body = with_own_files(replace(fields, params=params, mesh=sent, files=_files_beside()))
    job, _, _ = submit_body(body, job_service())
    return redirect(f"/jobs/{job.id}", 303)


def _files_beside() -> dict[str, tuple[str | None, bytes]]:
    """Read part numbers, boxes and pictures, where files of them were chosen."""
    files: dict[str, tuple[str | None, bytes]] = {}
    for name in BESIDE:
        file = request.files.get(name)
        if file and file.filename:
            held = sum(len(data) for _, data in files.values())
            files[name] = (file.filename, read_small(file, held))
    return files
