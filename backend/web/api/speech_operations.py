"""The route that tells what can be done with recordings, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.catalog import SpeechTask
from backend.web.api.operations import Operation

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_YES = {"type": "boolean"}
_YES_OR_NULL = {"type": ["boolean", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_AMOUNT = {"type": "number", "minimum": 0}

_TASK: dict[str, Any] = {
    "name": {"type": "string", "enum": [task.value for task in SpeechTask]},
    "styles": {**_TEXTS, "description": "What 'style' may be; empty where the task has none."},
    "takes_text": {**_YES, "description": "Whether 'text' is to be said."},
    "needs_transcript": {
        **_YES,
        "description": "Whether what is said in the recording has to be known.",
    },
    "takes_passes": {**_YES, "description": "Whether it can be applied to its own result."},
}
_CACHE: dict[str, Any] = {
    "entries": _COUNT,
    "size_mb": _AMOUNT,
    "limit_mb": _AMOUNT,
    "hits": _COUNT,
    "misses": _COUNT,
    "saved_s": {**_AMOUNT, "description": "Time that stages taken from it took when they ran."},
}
_SPEECH: dict[str, Any] = {
    "tasks": {
        "type": "array",
        "items": {"type": "object", "required": [*_TASK], "properties": _TASK},
    },
    "tags": {**_TEXTS, "description": "For [tags] in the text of paralinguistic."},
    "dialects": {**_TEXTS, "description": "May begin the text of clone, as in [Cantonese]."},
    "limits": {
        "type": "object",
        "required": ["audio_mb", "audio_s", "letters"],
        "properties": {"audio_mb": _AMOUNT, "audio_s": _AMOUNT, "letters": _COUNT},
    },
    "available": {**_YES_OR_NULL, "description": "Null while no worker tells."},
    "unavailable": {**_TEXT_OR_NULL, "description": "Why not; null when it can be done."},
    "is_tiny": {
        **_YES_OR_NULL,
        "description": "Whether the engine is the one for trying out, whose result is noise.",
    },
    "auto_transcribe": {
        **_YES,
        "description": "Whether a model writes down what is said where 'transcript' is missing.",
    },
    "transcribe_unavailable": {**_TEXT_OR_NULL, "description": "Why that model cannot run."},
    "cache": {
        "type": ["object", "null"],
        "properties": _CACHE,
        "description": "Stages of speech that need not be computed again.",
    },
    "looked_at": {"type": ["string", "null"], "format": "date-time"},
}

SPEECH_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get", "/api/v1/speech", "speech",
        "Tell what can be asked of recordings, whether it can be done here, and what the cache "
        "has saved. Jobs are submitted as others are, with the pipeline speech.",
        {200: ("The choices; unknown is null.", "Speech")},
    ),
)  # fmt: skip

SPEECH_SCHEMAS: dict[str, dict[str, Any]] = {
    "Speech": {"type": "object", "required": [*_SPEECH], "properties": _SPEECH},
}
