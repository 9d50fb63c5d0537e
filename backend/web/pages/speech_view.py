"""What the page of a speech job shows beside its progress: both sounds, words, times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.catalog import PipelineName, SpeechStageName
from backend.jobs.records import file_url
from backend.jobs.states import JobState
from backend.web.audio_uploads import FILE_NAME
from backend.web.pages.service import job_service
from backend.web.pages.speech_form import style_words, task_title
from backend.web.pages.waveform import waveform

ROLE = "speech"
SHOWN_S = 0.005  # less is written as 0.00 s
REST = "All else, such as starting"
_TIMES = (
    ("wait_s", "Wait for the device"),
    ("load_s", "Load the model"),
    ("restore_s", "Bring it back to the device"),
    ("compute_s", "Compute"),
)


@dataclass(frozen=True)
class Sound:
    """One recording with its player.

    Parameters
    ----------
    url : str
        Address for the player.
    wave : dict or None
        From ``waveform``.
    duration_s : float or None
        Its length, where that is known.
    """

    url: str
    wave: dict[str, Any] | None
    duration_s: float | None
    rate_hz: int | None


@dataclass(frozen=True)
class SpeechView:
    """What is shown of a speech job.

    Parameters
    ----------
    result, reference : Sound or None
        None where it is not there yet, or not any more.
    title : str
        What was asked for.
    facts : dict
        What the job found, as it is kept with it.
    times : list of (str, float)
        Where the seconds went; times that were not needed are left out.
    """

    result: Sound | None
    reference: Sound | None
    title: str
    facts: dict[str, Any]
    times: list[tuple[str, float]]


def speech_view(document: dict[str, Any]) -> SpeechView | None:
    """Describe the sounds of a job; None for a job of another pipeline."""
    if document["pipeline"] != PipelineName.SPEECH:
        return None
    facts = document["facts"].get("speech") or {}
    return SpeechView(
        _result(document, facts),
        _reference(document, facts.get("reference") or {}),
        asked_for(document["params"]),
        facts,
        _times(document, facts),
    )


def _times(document: dict[str, Any], facts: dict[str, Any]) -> list[tuple[str, float]]:
    """Say where the seconds of speaking went, so that they sum up to those of the stage."""
    known = [(label, facts.get(name) or 0.0) for name, label in _TIMES]
    stages = {one["name"]: one["elapsed_s"] for one in document["stages"]}
    spoken_s = stages.get(SpeechStageName.SPEECH_SYNTHESIS)
    if known[-1][1] and spoken_s:
        known.append((REST, spoken_s - sum(elapsed_s for _, elapsed_s in known)))
    return [(label, elapsed_s) for label, elapsed_s in known if elapsed_s >= SHOWN_S]


def asked_for(params: dict[str, Any]) -> str:
    """Say what was asked for.

    >>> asked_for({"task": "emotion", "style": "happy", "passes": 2})
    'Change the emotion: happy, applied 2 times'
    """
    style = params.get("style") or ""
    words = task_title(params["task"]) + (f": {style_words(style)}" if style else "")
    passes = params.get("passes") or 1
    return words if passes == 1 else f"{words}, applied {passes} times"


def _result(document: dict[str, Any], facts: dict[str, Any]) -> Sound | None:
    found = next((one for one in document["outputs"] if one["role"] == ROLE), None)
    if found is None:
        return None
    url = f"{found['url']}?inline=1&v={found['sha256'][:8]}"
    return Sound(url, waveform(facts), facts.get("duration_s"), facts.get("rate_hz"))


def _reference(document: dict[str, Any], facts: dict[str, Any]) -> Sound | None:
    """Uploads are removed sooner than results: only what is still there gets a player."""
    if document["status"] == JobState.EXPIRED:
        return None
    if job_service().artefacts.input_path(document["id"], FILE_NAME) is None:
        return None
    url = f"{file_url(document['id'], FILE_NAME)}?inline=1"
    return Sound(url, waveform(facts), facts.get("duration_s"), facts.get("rate_hz"))
