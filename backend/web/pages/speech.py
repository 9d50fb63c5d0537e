"""The page of speech: a recording and words in, a recording out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.catalog import PipelineName
from backend.errors import MissingFile
from backend.jobs.records import JobRecord, file_url, job_document
from backend.jobs.store import JobFilter
from backend.web.api.gpu import gpu_status
from backend.web.api.speech import speech_document
from backend.web.audio_uploads import SentRecording
from backend.web.large_uploads import takes_a_recording
from backend.web.pages.fragments import card
from backend.web.pages.gpu import gpu_view
from backend.web.pages.service import job_service
from backend.web.pages.speech_form import form_values, tags, taken_by_task, task_choices
from backend.web.pages.speech_view import speech_view
from backend.web.request_body import form_fields
from backend.web.speech_sources import (
    SourceSound,
    sound_name,
    sound_of,
    source_sound,
    submit_from_job,
)
from backend.web.submission import submit_body

LATEST = 8


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/speech", view_func=speech)
    for part in (state, latest, models):
        name = part.__name__
        blueprint.add_url_rule(f"/speech/{name}", endpoint=f"speech_{name}", view_func=part)
    blueprint.add_url_rule("/submit-speech", view_func=submit_speech, methods=["POST"])
    blueprint.add_app_template_global(speech_view)


def speech() -> str:
    """Show the form, filled from an earlier job when ``?from=`` names one."""
    source, sound = _source()
    return render_template(
        "pages/speech.html",
        tasks=task_choices(),
        tags=tags(),
        values=form_values(source, of_result=sound is SourceSound.RESULT),
        source=source,
        sound=sound,
        source_url=source and f"{file_url(source.id, sound_name(source, sound))}?inline=1",
        settings=job_service().settings,
        **_latest(),
        **_models(),
    )


def state() -> str:
    """Whether it can be done here, alone."""
    return render_template("fragments/speech_state.html", speech=speech_document(job_service()))


def latest() -> str:
    """The latest jobs and the cache alone."""
    return render_template("fragments/speech_latest.html", **_latest())


def models() -> str:
    """The models alone."""
    return render_template("fragments/speech_models.html", **_models())


@takes_a_recording
def submit_speech() -> Response:
    """Take the form; leads to the page of its job."""
    fields = form_fields(request.form, PipelineName.SPEECH)
    params = taken_by_task(fields.params)
    job_id, use = params.pop("source_job", None), params.pop("use", None)
    body = replace(fields, pipeline=PipelineName.SPEECH.value, params=params)
    file = request.files.get("file")
    if file is not None and file.filename:
        sent = replace(body, recording=SentRecording(file.filename, file.stream))
        job, _, _ = submit_body(sent, job_service())
    elif job_id:
        job = submit_from_job(body, job_service(), job_id, source_sound(use))
    else:
        raise MissingFile("No recording was chosen.", advice="Choose a recording of one voice.")
    return redirect(f"/jobs/{job.id}", 303)


def _latest() -> dict[str, Any]:
    service = job_service()
    page = service.store.list(JobFilter(pipeline=PipelineName.SPEECH.value, limit=LATEST))
    jobs = [card(job_document(job)) for job in page.items]
    return {"speech": speech_document(service), "jobs": jobs}


def _models() -> dict[str, Any]:
    return gpu_view(gpu_status(job_service())) | {"page_of_models": "/speech"}


def _source() -> tuple[JobRecord | None, SourceSound]:
    """Find the job whose sound and settings are taken; raises NotFound, FilesExpired."""
    sound = source_sound(request.args.get("use"))
    job_id = request.args.get("from")
    if not job_id:
        return None, sound
    service = job_service()
    source = service.store.get(job_id)
    sound_of(service, source, sound)
    return source, sound
