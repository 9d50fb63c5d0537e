"""What each task of speech takes: its styles and tags, and whether a request makes sense.

The names of emotions, styles, speeds and tags are those that Step-Audio-EditX lists in its
description.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from backend.choices import SpeechTask
from backend.errors import FieldProblem, InvalidParameter, TranscriptMissing
from backend.parameters import SpeechParams

REMOVE = "remove"

STYLES: Mapping[SpeechTask, tuple[str, ...]] = MappingProxyType(
    {
        SpeechTask.EMOTION: (
            "happy", "angry", "sad", "fear", "surprised", "confusion", "empathy", "embarrass",
            "excited", "depressed", "admiration", "coldness", "disgusted", "humour", REMOVE,
        ),
        SpeechTask.STYLE: (
            "serious", "arrogant", "child", "older", "girl", "pure", "sister", "sweet",
            "exaggerated", "ethereal", "whisper", "generous", "recite", "act_coy", "warm", "shy",
            "comfort", "authority", "chat", "radio", "soulful", "gentle", "story", "vivid",
            "program", "news", "advertising", "roar", "murmur", "shout", "deeply", "loudly",
            REMOVE,
        ),
        SpeechTask.SPEED: ("faster", "slower", "more faster", "more slower"),
    }
)  # fmt: skip
TAGS = (
    "Breathing", "Laughter", "Uhm", "Sigh", "Surprise-oh", "Surprise-ah", "Surprise-wa",
    "Confirmation-en", "Question-ei", "Dissatisfaction-hnn",
)  # fmt: skip
DIALECTS = ("Sichuanese", "Cantonese")
SAYS_TEXT = frozenset({SpeechTask.CLONE, SpeechTask.PARALINGUISTIC})
NEEDS_NO_TRANSCRIPT = frozenset({SpeechTask.DENOISE, SpeechTask.VAD})

_TAG = re.compile(r"\[([^\[\]]*)\]")


def check_speech(params: SpeechParams, *, can_transcribe: bool) -> None:
    """Refuse what cannot be done, before anything is stored.

    Parameters
    ----------
    can_transcribe : bool
        Whether a model can write down what is said in the recording.

    Raises
    ------
    InvalidParameter
        A field does not go with the task; the style or a tag is not known.
    TranscriptMissing
    """
    _check_text(params)
    _check_style(params)
    if params.passes > 1 and params.task is SpeechTask.CLONE:
        raise _wrong("passes", "clone speaks once; only edits are applied to their own result")
    needs_transcript = params.task not in NEEDS_NO_TRANSCRIPT
    if needs_transcript and not params.transcript.strip() and not can_transcribe:
        raise TranscriptMissing(
            f"For {params.task.value}, 'transcript' has to say what is spoken in the recording.",
            fields=(FieldProblem("/transcript", "is needed for this task"),),
        )


def wanted_style(params: SpeechParams) -> str:
    """Return the style as engines know it: lower case, without spaces around it."""
    return " ".join(params.style.lower().split())


def _check_text(params: SpeechParams) -> None:
    for name in ("text", "transcript"):
        if _has_controls(getattr(params, name)):
            raise _wrong(name, "holds control characters")
    text = params.text.strip()
    if params.task not in SAYS_TEXT:
        if text:
            raise _wrong("text", f"{params.task.value} keeps the words of the recording")
        return
    if not any(sign.isalnum() for sign in _TAG.sub("", text)):
        raise _wrong("text", f"{params.task.value} needs words to say")
    if params.task is SpeechTask.PARALINGUISTIC:
        _check_tags(text)


def _check_tags(text: str) -> None:
    listed = ", ".join(f"[{tag}]" for tag in TAGS)
    found = _TAG.findall(text)
    if not found:
        raise _wrong("text", f"needs at least one tag where its sound belongs: {listed}")
    for tag in found:
        if tag not in TAGS:
            raise _wrong("text", f"[{tag[:40]}] is not a known tag; there are {listed}")


def _check_style(params: SpeechParams) -> None:
    styles = STYLES.get(params.task)
    if styles is None:
        if params.style.strip():
            raise _wrong("style", f"{params.task.value} has none")
    elif wanted_style(params) not in styles:
        raise _wrong("style", f"{params.task.value} has {', '.join(styles)}")


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(sign) == "Cc" and sign not in "\n\r\t" for sign in text)


def _wrong(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(f"{name}: {detail}.", fields=(FieldProblem(f"/{name}", detail),))
