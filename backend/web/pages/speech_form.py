"""The form of speech: its fields in words, and what of it a task takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.catalog import SpeechParams, SpeechTask
from backend.jobs.records import JobRecord
from backend.speech_rules import NEEDS_NO_TRANSCRIPT, SAYS_TEXT, STYLES, TAGS

FIELDS = ("task", "text", "transcript", "style", "passes", "seed")
_WORDS: Mapping[SpeechTask, tuple[str, str, str]] = {
    SpeechTask.CLONE: ("Clone the voice", "It says the text below.", ""),
    SpeechTask.EMOTION: ("Change the emotion", "The same words, felt differently.", "Emotion"),
    SpeechTask.STYLE: ("Change the style", "The same words, spoken differently.", "Style"),
    SpeechTask.SPEED: ("Change the speed", "Faster or slower, at the same pitch.", "Speed"),
    SpeechTask.PARALINGUISTIC: (
        "Add sounds", "Breath, laughter and the like, where the text has a [tag].", "",
    ),
    SpeechTask.DENOISE: ("Remove noise", "What is not the voice goes.", ""),
    SpeechTask.VAD: ("Cut the silence", "Pauses at both ends and within go.", ""),
}  # fmt: skip
_SMALL_WORDS = {"act_coy": "acting coy", "remove": "none: remove it"}


@dataclass(frozen=True)
class TaskChoice:
    """A task as the form offers it.

    Parameters
    ----------
    styles : list of (str, str)
        Values of ``style`` and what they are called.
    style_label : str
        What the choice of a style is called; empty where there is none.
    fields : str
        Fields that the task takes, for the script of the page.
    """

    name: str
    title: str
    help: str
    style_label: str
    styles: list[tuple[str, str]]
    fields: str


def task_choices() -> list[TaskChoice]:
    """All tasks, in the order of the catalog."""
    return [_choice(task) for task in SpeechTask]


def tags() -> list[str]:
    """Tags that the text of paralinguistic may hold, with their brackets."""
    return [f"[{tag}]" for tag in TAGS]


def form_values(source: JobRecord | None, of_result: bool = False) -> dict[str, Any]:
    """What the fields are filled with: as an earlier job had them, or as they are by default.

    Parameters
    ----------
    of_result : bool
        Whether the result of the job is the new recording: it says what it was told to say.
    """
    fields = SpeechParams.model_fields
    usual = {name: fields[name].default for name in FIELDS}
    if source is None or source.pipeline != "speech":
        return usual
    given = {name: source.params.get(name, usual[name]) for name in FIELDS}
    heard = (source.facts.get("speech") or {}).get("transcript")
    transcript = given["transcript"] or heard or ""
    if of_result:
        return usual | {"transcript": given["text"] or transcript}
    return given | {"transcript": transcript}


def taken_by_task(params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the task does not take: a form without JavaScript sends all its fields.

    >>> taken_by_task({"task": "denoise", "text": "Hello", "passes": "2"})
    {'task': 'denoise', 'passes': '2'}
    """
    try:
        task = SpeechTask(params.get("task", SpeechTask.CLONE))
    except ValueError:
        return dict(params)  # whoever checks them says so
    left_out = set(FIELDS) - taken_fields(task)
    return {name: value for name, value in params.items() if name not in left_out}


def taken_fields(task: SpeechTask) -> set[str]:
    """Name the fields that a task takes."""
    fields = {"task", "seed"}
    fields |= {"text"} if task in SAYS_TEXT else set()
    fields |= {"transcript"} if task not in NEEDS_NO_TRANSCRIPT else set()
    fields |= {"style"} if task in STYLES else set()
    return fields | ({"passes"} if task is not SpeechTask.CLONE else set())


def task_title(task: str) -> str:
    """Return what a task is called."""
    return _WORDS[SpeechTask(task)][0]


def _choice(task: SpeechTask) -> TaskChoice:
    title, words, style_label = _WORDS[task]
    styles = [(style, style_words(style)) for style in STYLES.get(task, ())]
    fields = " ".join(sorted(taken_fields(task) - {"task", "seed"}))
    return TaskChoice(task.value, title, words, style_label, styles, fields)


def style_words(style: str) -> str:
    """Return what a style is called."""
    return _SMALL_WORDS.get(style, style.replace("_", " "))
