"""Writes down what is said in a recording, where nobody did; the same recording only once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.engines.call_progress import CallProgress
from backend.engines.speech_cache import stage_cache
from backend.engines.speech_setup import TranscriberSetup, transcriber_setup
from backend.errors import EngineUnavailable, TranscriptMissing
from backend.progress import StageProgress
from backend.residency.guest.stage_cache import key_of
from backend.settings import Settings

NOTHING_HEARD = "Write what is said into 'transcript'; the model understood no words."


class TranscriptSource(StrEnum):
    """Where a transcript comes from."""

    GIVEN = "given"
    MODEL = "model"
    NONE = "none"


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording.

    Parameters
    ----------
    text : str
        Empty where the task needs none.
    source : TranscriptSource
        Who wrote it down.
    """

    text: str
    source: TranscriptSource


def transcribed(recording: Path, settings: Settings, progress: StageProgress) -> Transcript:
    """Have a model write down a recording, or look up what it wrote before.

    Raises
    ------
    TranscriptMissing
        No model can do it here, or it understood no words.
    ModelLoadFailed, OutOfMemory, GpuBusy, HostedEngineCrashed, HostedEngineFailed,
    HostedEngineSilent, JobCanceled
    """
    try:
        setup = transcriber_setup(settings)
    except EngineUnavailable as error:
        # where it is on, the usual advice to switch it on would mislead
        own = f"Write it into 'transcript'. So that a model does it: {error.advice}"
        raise TranscriptMissing(
            f"Nobody said what is spoken in the recording, and {error.detail}.",
            advice=own if settings.auto_transcribe else None,
        ) from error
    cache, path = stage_cache(settings), str(recording.absolute())
    key = key_of("whisper", setup.version(), "transcribe", (path,), {})
    found = cache.lookup(key)
    if found is not None:
        return Transcript(str(found.value()), TranscriptSource.MODEL)
    text, compute_s = _heard(path, setup, settings, progress)
    if not text:
        raise TranscriptMissing("No words were understood.", advice=NOTHING_HEARD)
    cache.store(key, text, compute_s)
    return Transcript(text, TranscriptSource.MODEL)


def _heard(
    path: str, setup: TranscriberSetup, settings: Settings, progress: StageProgress
) -> tuple[str, float]:
    """Return the words, and the seconds that hearing took without those of loading the model."""
    from backend.engines.speech_hosts import hosted_transcriber

    engine = hosted_transcriber(setup, settings)
    text = engine.call("transcribe", (path,), {}, CallProgress(progress))
    return str(text).strip(), engine.last_call.compute_s if engine.last_call else 0.0
