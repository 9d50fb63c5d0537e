"""The form that makes a batch, and what it submits without JavaScript."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from backend.catalog import PipelineName, Preset
from backend.profiling.recorder import continue_from
from backend.units import MB
from backend.web.batch_submission import submit_batch as store_batch
from backend.web.large_uploads import takes_many_files
from backend.web.pages.batches import to_page
from backend.web.pages.generate import expected_times
from backend.web.pages.parameter_form import parameter_groups
from backend.web.pages.service import job_service
from backend.web.uploads import MAX_NAME

LISTED_FILES = 20


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/batches/new", view_func=new_batch)
    blueprint.add_url_rule("/batches", view_func=submit_batch, methods=["POST"])


def new_batch() -> str:
    """Show the form."""
    settings = job_service().settings
    return render_template(
        "batches/new.html",
        groups=parameter_groups({}),
        presets=[{"name": p.value, "time": expected} for p, expected in expected_times().items()],
        chosen_preset=Preset.STANDARD.value,
        pipeline=PipelineName.IMAGE_TO_3D.value,
        settings=settings,
        max_file_bytes=settings.max_upload_mb * MB,
        max_total_bytes=settings.max_batch_upload_mb * MB,
        listed_files=LISTED_FILES,
        max_name=MAX_NAME,
    )


@takes_many_files
def submit_batch() -> Response:
    """Take the form of a browser without JavaScript."""
    with continue_from(request.headers):
        batch, _ = store_batch(request, job_service())
    return to_page(batch)
