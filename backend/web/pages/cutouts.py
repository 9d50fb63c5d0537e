"""The mask before a run: find it, show it, correct it with a brush."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from backend.catalog import BackgroundEngine, PipelineName
from backend.errors import MissingFile
from backend.jobs.records import job_document
from backend.web.other_views import OF_PICTURES
from backend.web.pages.fragments import file_addresses
from backend.web.pages.service import job_service
from backend.web.pages.source import source_file, source_picture, view_picture
from backend.web.pages.view_fields import LEAVE_OUT, chosen_views, views_of_run
from backend.web.request_body import SubmitBody
from backend.web.security import CSRF_FIELD
from backend.web.submission import submit_body
from backend.web.uploads import JPEG_SIGNATURE

CARRY_PREFIX = "run_"
NOT_CARRIED = frozenset({"source_job", "background", LEAVE_OUT, CSRF_FIELD})


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/cutouts", view_func=start_cutout, methods=["POST"])
    blueprint.add_url_rule("/cutouts/<job_id>", view_func=show_cutout)
    blueprint.add_url_rule("/jobs/<job_id>/picture", view_func=picture)
    blueprint.add_url_rule("/jobs/<job_id>/views/<side>", view_func=other_view)


def start_cutout() -> BaseResponse | str:
    """Look for the object in the picture sent, or in that of an earlier job."""
    file = request.files.get("file")
    if file is not None and file.filename:
        chosen: tuple[str | None, bytes] = (file.filename, file.read())
        views = chosen_views()
    elif request.form.get("source_job"):
        chosen = source_file(request.form["source_job"])
        views = views_of_run(request.form["source_job"])
    else:
        raise MissingFile("No picture was chosen.")
    background = request.form.get("background") or BackgroundEngine.AUTO
    # the pictures from other sides are not looked at; they are kept for the run that follows
    files = {"file": chosen, **views}
    body = SubmitBody(PipelineName.CUT_OUT, {"background": background}, {}, files)
    job, _, _ = submit_body(body, job_service())
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
    data = source_picture(job)
    return _kept_picture(data)


def other_view(job_id: str, side: str) -> Response:
    """Send a picture from another side that a job was given, as we stored it."""
    return _kept_picture(view_picture(job_id, side))


def _kept_picture(data: bytes) -> Response:
    kind = "image/jpeg" if data.startswith(JPEG_SIGNATURE) else "image/png"
    response = Response(data, mimetype=kind)
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
    if job.pipeline in OF_PICTURES:
        carried = [("pipeline", job.pipeline)]
        carried += [(name, value) for name, value in job.params.items() if value is not None]
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
    return {
        name: values[-1]
        for name, values in request.form.lists()
        if name not in NOT_CARRIED and values[-1] != ""
    }


def _carried_query() -> str:
    return urlencode({CARRY_PREFIX + name: value for name, value in _carried_form().items()})
