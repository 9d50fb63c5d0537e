"""Engine ``step_audio``: the user's own Step-Audio-EditX, hosted in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backend.audio.recording import loudness
from backend.audio.wav_file import read_wav
from backend.catalog import CutOutParams, SpeechTask
from backend.engines.call_progress import CallProgress
from backend.engines.engine import FailedItem, Needs
from backend.engines.speech_cache import saved_in
from backend.engines.speech_setup import SpeechSetup, speech_obstacle, speech_setup
from backend.engines.speech_task import SpokenResult, SpokenTask, Waveform
from backend.errors import AudioTooLong, BadInput, HostedEngineFailed
from backend.progress import StageProgress
from backend.settings import Settings

TINY_NOTICE = "Tiny random networks spoke: this is noise, not speech."
SHORTEST_S = 0.1
QUIETEST = 1e-4


class StepAudio:
    """A voice that says something new, or says it otherwise."""

    name = "step_audio"
    title = "Step-Audio-EditX (your own checkout of it is needed)"
    needs = Needs(weights=("Step-Audio-Tokenizer", "Step-Audio-EditX"), device="cuda")

    def available(self) -> str | None:
        """Need the user's checkout, its interpreter and its models."""
        return speech_obstacle(Settings.from_env())

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by task; how much is said counts too, see ``backend.catalog.cost_key``."""
        return params.model_dump_json(include={"task", "passes"})

    def run(
        self, batch: Sequence[SpokenTask], progress: StageProgress
    ) -> list[SpokenResult | FailedItem]:
        """Speak for every task.

        Raises
        ------
        EngineUnavailable, ModelLoadFailed, ModelTooLarge, OutOfMemory, GpuBusy,
        HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent, JobCanceled
        """
        settings = Settings.from_env()
        setup = speech_setup(settings)
        return [_result(task, setup, settings, progress) for task in batch]


def _result(
    task: SpokenTask, setup: SpeechSetup, settings: Settings, progress: StageProgress
) -> SpokenResult | FailedItem:
    try:
        _check_length(task, settings)
    except BadInput as error:
        return FailedItem(error)
    from backend.engines.speech_hosts import hosted_speech

    engine = hosted_speech(setup, settings)
    scratch = None if task.scratch is None else task.scratch.absolute()
    between = tempfile.TemporaryDirectory(prefix="meshkiln-", dir=scratch)
    with saved_in(settings) as saved, between as folder:
        method, arguments = _call(task, folder)
        answer = engine.call(method, (), arguments, CallProgress(progress))
    sound = _checked(answer)
    facts = {
        "is_tiny": setup.is_tiny,
        "tokens": answer["tokens"],
        "passes": task.passes,
        "seed": task.seed,
        "cache": saved.facts,
        **(engine.last_call.as_facts() if engine.last_call else {}),
    }
    return SpokenResult(sound, TINY_NOTICE if setup.is_tiny else "", facts)


def _check_length(task: SpokenTask, settings: Settings) -> None:
    """Refuse what the model was not made for; uploads are judged, files of programs are not."""
    seconds = read_wav(task.reference).duration_s
    if seconds > settings.max_audio_s:
        raise AudioTooLong(
            f"It takes {seconds:.1f} seconds; at most {settings.max_audio_s:g} are spoken after."
        )


def _call(task: SpokenTask, folder: str) -> tuple[str, dict[str, Any]]:
    """Name the method and its arguments as the program's description has them."""
    reference = str(task.reference.absolute())
    if task.task is SpeechTask.CLONE:
        return "clone", {
            "prompt_wav_path": reference,
            "prompt_text": task.transcript,
            "target_text": task.text,
            "seed": task.seed,
        }
    return "edit", {
        "input_audio_path": reference,
        "audio_text": task.transcript,
        "edit_type": task.task.value,
        "edit_info": task.style or None,
        "text": task.text or None,
        "seed": task.seed,
        "passes": task.passes,
        "folder": folder,
    }


def _checked(answer: Mapping[str, Any]) -> Waveform:
    """Take what was spoken only when it is a sound; what is louder than full scale is lowered.

    Raises
    ------
    HostedEngineFailed
    """
    samples = np.asarray(answer["samples"], dtype=np.float32).reshape(-1)
    rate_hz = int(answer["rate_hz"])
    if rate_hz <= 0 or len(samples) < SHORTEST_S * rate_hz:
        raise _no_sound(f"It returned {len(samples)} samples at {rate_hz} Hz: too few for a sound")
    if not np.isfinite(samples).all():
        raise _no_sound("It returned values that are no numbers")
    if loudness(samples) < QUIETEST:
        raise _no_sound("It returned silence")
    peak = float(np.abs(samples).max())
    return Waveform(samples / np.float32(max(1.0, peak)), rate_hz)


def _no_sound(detail: str) -> HostedEngineFailed:
    return HostedEngineFailed(
        f"{detail}.",
        advice="Try another seed, a shorter text, or a clearer recording with its exact words.",
    )
