"""The engine with a program that does what a test says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from backend.audio.wav_file import write_wav
from backend.catalog import SpeechTask
from backend.engines import speech_hosts
from backend.engines.engine import FailedItem
from backend.engines.speech_task import SpokenTask
from backend.engines.step_audio import TINY_NOTICE, StepAudio
from backend.errors import AudioTooLong, HostedEngineFailed, JobCanceled
from backend.progress import StageProgress
from tests.audio.sounds import tone
from tests.engines.counting_sink import CountingSink
from tests.engines.speech_files import speech_settings, write_checkout, write_models


class ScriptedProgram:
    """Answers with a sound, after it reported what it was told to report."""

    def __init__(self):
        self.calls = []
        self.reports = []
        self.samples = tone(1.0, rate_hz=24_000)
        self.last_call = None

    def call(self, method, args, kwargs, watcher):
        self.calls.append((method, dict(kwargs)))
        self.had_folder = Path(kwargs.get("folder", "")).is_dir()
        for done, total in self.reports:
            watcher.report(done, total)
        return {"samples": self.samples, "rate_hz": 24_000, "tokens": 7, "compute_s": 0.1}


@pytest.fixture
def program(monkeypatch):
    made = ScriptedProgram()
    monkeypatch.setattr(speech_hosts, "hosted_speech", lambda setup, settings: made)
    return made


@pytest.fixture
def speak(tmp_path, monkeypatch, program):
    write_checkout(tmp_path / "code")
    write_models(tmp_path / "models")
    for name, value in speech_settings(tmp_path).to_env().items():
        monkeypatch.setenv(name, value)
    reference = tmp_path / "reference.wav"

    def run(task=SpeechTask.CLONE, seconds=1.0, sink=None, **more):
        write_wav(tone(seconds), 16_000, reference)
        asked = SpokenTask(task, reference, "Hello.", seed=5, **more)
        [result] = StepAudio().run([asked], StageProgress(sink or CountingSink(), "s"))
        return result

    return run


def test_a_clone_is_called_as_the_program_documents_it(speak, program, tmp_path):
    result = speak(text="Good morning.")
    assert program.calls == [
        (
            "clone",
            {
                "prompt_wav_path": str(tmp_path / "reference.wav"),
                "prompt_text": "Hello.",
                "target_text": "Good morning.",
                "seed": 5,
            },
        )
    ]
    assert np.array_equal(result.sound.samples, program.samples)
    assert result.sound.rate_hz == 24_000
    assert result.notice == ""
    assert result.facts["tokens"] == 7
    assert result.facts["is_tiny"] is False


def test_an_edit_is_called_as_the_program_documents_it(speak, program):
    speak(SpeechTask.EMOTION, style="happy", passes=2)
    [(method, arguments)] = program.calls
    assert method == "edit"
    assert arguments["edit_type"] == "emotion"
    assert arguments["edit_info"] == "happy"
    assert arguments["text"] is None
    assert arguments["audio_text"] == "Hello."
    assert arguments["passes"] == 2


def test_recordings_between_passes_lie_in_the_folder_of_the_job(speak, program, tmp_path):
    job = tmp_path / "attempt-1"
    job.mkdir()
    speak(SpeechTask.EMOTION, style="happy", passes=2, scratch=job)
    [(_, arguments)] = program.calls
    assert Path(arguments["folder"]).parent == job
    assert program.had_folder
    assert not any(job.iterdir())


def test_steps_are_told_only_where_their_number_is_known(speak, program):
    program.reports = [(3, None), (1, 4), (9, 4)]
    sink = CountingSink()
    speak(text="Hi", sink=sink)
    assert sink.seen == [(1, 4), (4, 4)]


def test_a_cancel_reaches_a_program_whose_steps_nobody_knows(speak, program):
    program.reports = [(1, 2), (5, None)]
    with pytest.raises(JobCanceled):
        speak(text="Hi", sink=CountingSink(stop_after=1))


def test_the_stand_in_says_that_it_is_noise(speak, tmp_path):
    (tmp_path / "code" / "TINY").write_text("noise")
    result = speak(text="Hi")
    assert result.notice == TINY_NOTICE
    assert result.facts["is_tiny"] is True


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(24_000, np.float32), "silence"),
        (np.full(24_000, np.nan, np.float32), "no numbers"),
        (tone(0.05, rate_hz=24_000), "too few"),
        (np.zeros(0, np.float32), "too few"),
    ],
    ids=["silent", "nan", "short", "nothing"],
)
def test_what_is_no_sound_is_no_success(speak, program, samples, words):
    program.samples = samples
    with pytest.raises(HostedEngineFailed, match=words) as caught:
        speak(text="Hi")
    assert "seed" in caught.value.advice


def test_what_is_louder_than_full_scale_is_lowered_as_a_whole(speak, program):
    program.samples = 3 * program.samples
    sound = speak(text="Hi").sound
    assert np.allclose(sound.samples, program.samples / np.abs(program.samples).max())


def test_a_recording_that_is_too_long_fails_before_anything_is_loaded(speak, program):
    result = speak(text="Hi", seconds=31.0)
    assert isinstance(result, FailedItem)
    assert isinstance(result.error, AudioTooLong)
    assert program.calls == []


def test_the_seconds_of_the_call_are_among_the_facts(speak, program):
    program.last_call = SimpleNamespace(as_facts=lambda: {"load_s": 1.5, "compute_s": 0.5})
    facts = speak(text="Hi").facts
    assert (facts["load_s"], facts["compute_s"]) == (1.5, 0.5)
