"""The stand-in through the path of production: its own process, moved weights, cache, cancel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backend.audio.wav_file import read_wav, write_wav
from backend.catalog import MAX_SPOKEN, SpeechParams
from backend.engines.speech_cache import cache_facts
from backend.engines.speech_hosts import close_hosted
from backend.engines.step_audio import TINY_NOTICE
from backend.errors import JobCanceled
from backend.pipelines.catalogue import batched_stages, run_pipeline
from backend.pipelines.pipeline import PipelineRequest
from backend.residency import process
from backend.settings import Settings
from bench.tiny_speech.model_folders import write_model_folders
from bench.tiny_speech.whisper_folder import write_whisper_folder
from tests.audio.sounds import tone
from tests.engines.counting_sink import CountingSink

STAND_IN = Path(__file__).parents[2] / "bench" / "tiny_speech"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The stand-in's models, and a recording."""
    made = write_model_folders(tmp_path_factory.mktemp("tiny"))
    write_wav(tone(1.0), 16_000, made / "reference.wav")
    return made


@pytest.fixture(scope="module")
def server(folder):
    """Settings of a server with the stand-in, its one process started by the first call."""
    given = {
        "data_dir": folder / "data",
        "speech_path": str(STAND_IN),
        "speech_python": sys.executable,
        "speech_models": str(folder),
        "residency": "offload_after_use",
    }
    settings = Settings.from_env({}, **given)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.to_env().items():
            patch.setenv(name, value)
        patch.setattr(process, "_current", None)
        yield settings
        close_hosted()
        process.current_residency().close()


@pytest.fixture
def speak(server, folder, tmp_path):
    def run(sink=None, **params):
        inputs = {"reference": folder / "reference.wav"}
        request = PipelineRequest(inputs, SpeechParams(**params), tmp_path)
        outcome = run_pipeline("speech", request, sink or CountingSink())
        return outcome.facts["speech"], (tmp_path / "speech.wav").read_bytes()

    return run


CLONE = {"task": "clone", "text": "Good morning.", "transcript": "Hello."}


def test_a_clone_is_the_same_for_the_same_seed_and_leaves_the_device(speak, tmp_path):
    facts, sound = speak(seed=1, **CLONE)
    assert facts["load_s"] > 0
    again, same = speak(seed=1, **CLONE)
    assert same == sound
    assert again["load_s"] == 0
    assert speak(seed=2, **CLONE)[1] != sound
    assert facts["is_tiny"]
    assert facts["notice"] == TINY_NOTICE
    assert read_wav(tmp_path / "speech.wav").rate_hz == facts["rate_hz"] == 24_000
    [row] = [one for one in process.current_residency().status()["models"] if one["loads"]]
    assert (row["name"], row["state"], row["restores"]) == ("step_audio", "host", 3)
    assert row["vram_mb"] == 0


def test_an_edit_encodes_the_same_recording_once(speak, server):
    first, _ = speak(task="denoise", seed=1)
    again, _ = speak(task="emotion", style="happy", transcript="Hello.", seed=1)
    assert first["cache"]["misses"] == 1
    assert again["cache"]["hits"] == 1
    assert again["cache"]["saved_s"] > 0
    assert cache_facts(server)["entries"] == 1


def test_passes_are_told_and_a_cancel_between_them_ends_the_call(speak):
    sink = CountingSink(stop_after=1)
    with pytest.raises(JobCanceled):
        speak(sink, task="denoise", passes=5)
    assert sink.seen == [(0, 5)]
    assert speak(task="denoise")[0]["load_s"] == 0  # the process lives on


def test_a_worker_knows_that_it_takes_the_device(server):
    [stage] = batched_stages("speech", SpeechParams(**CLONE))
    assert (stage.stage, stage.engine.name) == ("speech_synthesis", "step_audio")


def test_a_whisper_model_hears_the_same_words_in_the_same_recording(folder, monkeypatch):
    from backend.engines.hosted_speech.meshkiln_speech import whisper

    monkeypatch.setattr(whisper, "stay_offline", lambda: None)  # it is for the whole process
    ears = whisper.open_transcriber(str(write_whisper_folder(folder / "tiny-whisper")))
    words = ears.transcribe(str(folder / "reference.wav"))
    assert words == ears.transcribe(str(folder / "reference.wav"))
    assert words.isalpha()


def test_its_networks_take_as_many_letters_as_a_request_may_hold(folder):
    from bench.tiny_speech.tiny_networks import speaker

    config = speaker().config  # the transcript comes before the text
    assert min(config.max_text_positions, config.max_speech_positions) > 2 * MAX_SPOKEN
