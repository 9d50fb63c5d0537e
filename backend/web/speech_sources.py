"""Speech jobs from sounds that an earlier job was given or made."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from backend.catalog import PipelineName, parse_options
from backend.errors import FieldProblem, FilesExpired, InvalidParameter
from backend.jobs.records import JobRecord
from backend.jobs.service import JobService
from backend.web.audio_uploads import FILE_NAME, SentRecording, normalise_recording
from backend.web.request_body import SubmitBody
from backend.web.uploads import MAX_NAME, clean_text

RESULT_ROLE = "speech"


class SourceSound(StrEnum):
    """Which sound of a job is taken."""

    REFERENCE = "reference"
    RESULT = "result"


def source_sound(text: str | None) -> SourceSound:
    """Read which sound is meant; raises InvalidParameter."""
    try:
        return SourceSound(text or SourceSound.REFERENCE)
    except ValueError as error:
        problem = FieldProblem("/use", "reference or result")
        raise InvalidParameter(f"use: {problem.detail}", fields=(problem,)) from error


def sound_of(service: JobService, source: JobRecord, sound: SourceSound) -> Path:
    """Find a sound of a job, as a file that the server itself wrote.

    Raises
    ------
    FilesExpired
        It was removed, or the job never had one.
    """
    name = sound_name(source, sound)
    if sound is SourceSound.REFERENCE:
        path = service.artefacts.input_path(source.id, FILE_NAME)
    else:
        path = service.artefacts.output_path(source.id, source.attempt, name) if name else None
    if path is None:
        raise FilesExpired("The sound of this job is not there any more.")
    return path


def sound_name(source: JobRecord, sound: SourceSound) -> str:
    """Return the name of a sound among the files of a job; empty where none was made."""
    if sound is SourceSound.REFERENCE:
        return FILE_NAME
    made = (output.name for output in source.outputs if output.role == RESULT_ROLE)
    return next(made, "")


def submit_from_job(
    body: SubmitBody, service: JobService, job_id: str, sound: SourceSound
) -> JobRecord:
    """Store a job that takes a sound of another one, and ring.

    Raises
    ------
    BadInput, NotFound, FilesExpired, QueueFull, StorageFull
    """
    source = service.store.get(job_id)
    path = sound_of(service, source, sound)
    options = parse_options(body.options)
    new = service.prepare(PipelineName.SPEECH, body.params, source.name)
    named = clean_text(options.name or "", MAX_NAME) or source.name
    if sound is SourceSound.REFERENCE:
        job, _, _ = service.submit_given(replace(new, name=named), {FILE_NAME: path})
    else:  # what was made may be too long, too short or too quiet to be a recording
        job, _, _ = service.submit(replace(new, name=named), _judged(path, service))
    return job


def _judged(path: Path, service: JobService) -> dict[str, bytes]:
    """Judge a result as if it had been uploaded; returns what is kept, by file name."""
    try:
        with path.open("rb") as file:
            kept = normalise_recording(SentRecording(path.name, file), service.settings)
    except FileNotFoundError as error:
        raise FilesExpired from error
    return {kept.file_name: kept.data}
