"""The mask before a run: find it, show it, correct it with a brush."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from backend.catalog import PipelineName
from backend.errors import MissingFile
from backend.jobs.records import job_document
from backend.web.pages.fragments import file_addresses
from backend.web.pages.service import job_service
from backend.web.pages.source import (
    NOT_PARAMETERS,
    form_parameters,
    source_picture,
    submit_from_source,
)
from backend.web.uploads import normalise_image

CARRY_PREFIX = "run_"


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/cutouts", view_func=start_cutout, methods=["POST"])
    blueprint.add_url_rule("/cutouts/<job_id>", view_func=show_cutout)
    blueprint.add_url_rule("/jobs/<job_id>/picture", view_func=picture)


def start_cutout() -> BaseResponse | str:
    """Look for the object in the picture sent, or in that of an earlier job."""
    service = job_service()
    file = request.files.get("file")
    if file is not None and file.filename:
        normalised = normalise_image(file.read(), file.filename, service.settings)
        new = service.prepare(
            PipelineName.CUT_OUT,
            form_parameters(request.form, PipelineName.CUT_OUT),
            normalised.display_name,
        )
        job, _, _ = service.submit(new, {"image.png": normalised.png})
    elif request.form.get("source_job"):
        job = submit_from_source(request.form, None, PipelineName.CUT_OUT)
    else:
        raise MissingFile("No picture was chosen.")
    if "HX-Request" in request.headers:
        return _fragment(job.id)
    return redirect(f"/cutouts/{job.id}?{_carried_query()}", 303)


def show_cutout(job_id: str) -> str:
    """Show the mask of a job with a brush; works for every job that has one."""
    if "HX-Request" in request.headers:
        return _fragment(job_id)
    return render_template("pages/cutout.html", **_context(job_id))


def picture(job_id: str) -> Response:
    """Send the picture a job was made from, as we stored it."""
    job = job_service().store.get(job_id)
    response = Response(source_picture(job), mimetype="image/png")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


def _fragment(job_id: str) -> str:
    embedded = "standalone" not in request.args
    return render_template("fragments/cutout.html", embedded=embedded, **_context(job_id))


def _context(job_id: str) -> dict[str, object]:
    job = job_service().store.get(job_id)
    document = job_document(job)
    carried = [
        (name.removeprefix(CARRY_PREFIX), value)
        for name, value in request.args.items()
        if name.startswith(CARRY_PREFIX)
    ]
    if job.pipeline == PipelineName.IMAGE_TO_3D:
        carried = [(name, value) for name, value in job.params.items() if value is not None]
    elif request.method == "POST":
        carried = list(_carried_form().items())
    return {
        "job": document,
        "ended": job.status.is_terminal,
        "files": file_addresses(document),
        "carried": carried,
    }


def _carried_form() -> dict[str, str]:
    """The parameters of the later run that came with the form."""
    skipped = NOT_PARAMETERS | {"background"}
    return {
        name: values[-1]
        for name, values in request.form.lists()
        if name not in skipped and values[-1] != ""
    }


def _carried_query() -> str:
    from urllib.parse import urlencode

    return urlencode({CARRY_PREFIX + name: value for name, value in _carried_form().items()})
