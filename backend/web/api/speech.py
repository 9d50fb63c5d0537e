"""``/api/v1/speech``: what can be asked of recordings, and whether it can be done here."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app

from backend.catalog import MAX_SPOKEN, SpeechTask
from backend.jobs.model_shelf import read_shelf
from backend.jobs.service import JobService
from backend.speech_rules import DIALECTS, NEEDS_NO_TRANSCRIPT, SAYS_TEXT, STYLES, TAGS
from backend.web.api.answers import json_answer, service_of

NO_WORKER = "No worker has told within the last minute what it can do with recordings."

blueprint = Blueprint("speech", __name__, url_prefix="/api/v1/speech")


@blueprint.get("")
def show() -> Response:
    """Tell the choices, what is ready, and what the cache of stages has saved."""
    return json_answer(speech_document(service_of(current_app.extensions)))


def speech_document(service: JobService) -> dict[str, Any]:
    """Return the choices and what the worker says of them; unknown is null.

    Returns
    -------
    dict
        See the schema ``Speech``.
    """
    shelf = read_shelf(service.looks.client) or {}
    told: dict[str, Any] = shelf.get("speech") or {}
    unavailable = told.get("unavailable") if told else NO_WORKER
    return {
        "tasks": [_task(task) for task in SpeechTask],
        "tags": [*TAGS],
        "dialects": [*DIALECTS],
        "limits": {
            "audio_mb": service.settings.max_audio_mb,
            "audio_s": service.settings.max_audio_s,
            "letters": MAX_SPOKEN,
        },
        "available": unavailable is None if told else None,
        "unavailable": unavailable,
        "is_tiny": told.get("is_tiny"),
        "auto_transcribe": service.settings.auto_transcribe,
        "transcribe_unavailable": told.get("transcribe_unavailable"),
        "cache": told.get("cache"),
        "looked_at": shelf.get("looked_at") if told else None,
    }


def _task(task: SpeechTask) -> dict[str, Any]:
    return {
        "name": task.value,
        "styles": [*STYLES.get(task, ())],
        "takes_text": task in SAYS_TEXT,
        "needs_transcript": task not in NEEDS_NO_TRANSCRIPT,
        "takes_passes": task is not SpeechTask.CLONE,
    }
