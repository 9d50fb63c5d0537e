"""The first page, and what its form submits without JavaScript."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.catalog import (
    ImageTo3DParams,
    PipelineName,
    Preset,
    Upload,
    cost_key,
    pipeline_spec,
)
from backend.errors import InvalidParameter, MissingFile, NotFound
from backend.jobs.records import EtaRange, JobRecord, job_document
from backend.jobs.store import JobFilter
from backend.web.api.models import models_document
from backend.web.other_views import check_views, refuse_views
from backend.web.pages.fragments import card
from backend.web.pages.mesh_form import part_quality_field, without_foreign
from backend.web.pages.mesh_tool_form import tool_fields
from backend.web.pages.model_choices import takes_views, with_models
from backend.web.pages.parameter_form import parameter_groups
from backend.web.pages.service import job_service
from backend.web.pages.source import source_file
from backend.web.pages.texture_form import with_texture
from backend.web.pages.view_fields import (
    LEAVE_OUT,
    chosen_views,
    view_fields,
    views_of_run,
)
from backend.web.request_body import form_fields
from backend.web.submission import submit_body

LATEST = 8
MAX_FORM_FILES = 50


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/", view_func=generate)
    blueprint.add_url_rule("/submit", view_func=submit, methods=["POST"])
    blueprint.add_url_rule("/fragments/activity", view_func=activity)


def generate() -> str:
    """Show the form, filled from an earlier job when ``?from=`` names one."""
    source = _source()
    values = source.params if source else {}
    models = models_document(job_service())
    return render_template(
        "pages/generate.html",
        source=source,
        view_fields=view_fields(source),
        groups=with_texture(with_models(parameter_groups(values), models), models),
        takes_views=takes_views(models),
        part_quality=part_quality_field(values.get("part_quality"), models),
        mesh_tools=tool_fields(),
        presets=[{"name": p.value, "time": _time_text(t)} for p, t in expected_times().items()],
        chosen_preset=values.get("preset", Preset.STANDARD.value),
        seed=values.get("seed"),
        jobs=latest_jobs(),
        settings=job_service().settings,
    )


def activity() -> str:
    """Show what waits, runs and ended last."""
    return render_template("fragments/activity.html", jobs=latest_jobs())


def submit() -> Response:
    """Take the form: one picture leads to its job, several to the gallery."""
    form = request.form.copy()
    source_job = form.poplist("source_job")
    form.poplist(LEAVE_OUT)
    files = [(f.filename, f.read()) for f in request.files.getlist("file") if f.filename]
    is_rerun = not files and bool(source_job)
    views = views_of_run(source_job[-1]) if is_rerun else chosen_views()
    if is_rerun:
        files = [source_file(source_job[-1])]
    if not files:
        raise MissingFile("No picture was chosen.")
    if len(files) > MAX_FORM_FILES:
        raise InvalidParameter(f"At most {MAX_FORM_FILES} pictures at a time.")
    fields = form_fields(form)
    fields = replace(fields, params=without_foreign(fields.pipeline, fields.params))
    masks = _masks() if len(files) == 1 else {}
    check_views(fields.pipeline, views)
    if len(files) > 1:
        refuse_views(views, "more views belong to a single picture; choose one")
    jobs = [
        submit_body(replace(fields, files={"file": file, **masks, **views}), job_service())[0]
        for file in files
    ]
    return redirect(f"/jobs/{jobs[0].id}" if len(jobs) == 1 else "/gallery", 303)


def _masks() -> dict[str, tuple[str | None, bytes]]:
    """The mask of the form, if one was chosen; it belongs to a single picture only."""
    chosen = [m for m in request.files.getlist("mask") if m.filename]
    return {"mask": (chosen[0].filename, chosen[0].read())} if chosen else {}


def latest_jobs() -> list[dict[str, Any]]:
    """Cards of the newest jobs; waiting ones with their place in the line."""
    service = job_service()
    page = service.store.list(JobFilter(limit=LATEST))
    return [card(job_document(_with_position(job))) for job in page.items]


def _with_position(job: JobRecord) -> JobRecord:
    if job.status.is_terminal:
        return job
    try:
        return job_service().store.get(job.id)
    except NotFound:
        return job


def _source() -> JobRecord | None:
    job_id = request.args.get("from")
    if not job_id:
        return None
    job = job_service().store.get(job_id)
    is_picture = pipeline_spec(job.pipeline).upload is Upload.IMAGE
    return job if job.inputs and is_picture else None


def expected_times() -> dict[Preset, EtaRange | None]:
    """Between what times a job of each preset took here; None where too few have run."""
    history = job_service().store.history
    keys = {
        preset: cost_key(PipelineName.IMAGE_TO_3D.value, ImageTo3DParams(preset=preset))
        for preset in Preset
    }
    return {preset: history.expected_s(key) for preset, key in keys.items()}


def _time_text(expected: EtaRange | None) -> str | None:
    return f"{expected.low_s:.1f} to {expected.high_s:.1f} s here" if expected else None
