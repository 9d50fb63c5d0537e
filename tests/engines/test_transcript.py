from __future__ import annotations

import pytest

from backend.audio.wav_file import write_wav
from backend.engines import speech_hosts
from backend.engines.speech_cache import cache_facts
from backend.engines.transcript import TranscriptSource, transcribed
from backend.errors import TranscriptMissing
from backend.progress import StageProgress
from backend.residency.managed.call_times import CallTimes
from tests.audio.sounds import tone
from tests.engines.counting_sink import CountingSink
from tests.engines.speech_files import speech_settings, write_checkout


class ScriptedEars:
    def __init__(self, words):
        self.words = words
        self.heard = 0
        self.last_call = CallTimes(load_s=20.0, compute_s=3.0)

    def call(self, method, args, kwargs, watcher):
        assert method == "transcribe"
        self.heard += 1
        return self.words


@pytest.fixture
def hear(tmp_path, monkeypatch):
    write_checkout(tmp_path / "code")
    model = tmp_path / "models" / "whisper-large-v3"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")

    def run(ears, hertz=220.0, **more):
        monkeypatch.setattr(speech_hosts, "hosted_transcriber", lambda setup, settings: ears)
        path = tmp_path / f"{ears.heard}-{hertz}.wav"
        write_wav(tone(hertz=hertz), 16_000, path)
        settings = speech_settings(tmp_path, **{"auto_transcribe": True} | more)
        return transcribed(path, settings, StageProgress(CountingSink(), "transcription"))

    return run


def test_the_same_recording_is_heard_once_under_whatever_name(hear):
    ears = ScriptedEars(" Good morning. ")
    first, again = hear(ears), hear(ears)
    assert first == again
    assert first.text == "Good morning."
    assert first.source is TranscriptSource.MODEL
    assert ears.heard == 1
    hear(ears, hertz=330.0)
    assert ears.heard == 2


def test_what_is_saved_is_the_hearing_and_not_the_loading(hear, tmp_path):
    ears = ScriptedEars("Good morning.")
    hear(ears)
    hear(ears)
    assert cache_facts(speech_settings(tmp_path))["saved_s"] == 3.0


def test_another_model_is_asked_anew(hear, tmp_path):
    ears = ScriptedEars("Good morning.")
    hear(ears)
    (tmp_path / "models" / "whisper-large-v3" / "config.json").write_text('{"other": true}')
    hear(ears)
    assert ears.heard == 2


def test_where_no_words_are_understood_the_user_is_asked(hear):
    with pytest.raises(TranscriptMissing, match="No words") as caught:
        hear(ScriptedEars("  "))
    assert "'transcript'" in caught.value.advice


def test_without_a_model_the_reason_is_told(hear):
    with pytest.raises(TranscriptMissing, match="auto-transcribe is off"):
        hear(ScriptedEars("words"), auto_transcribe=False)


def test_a_missing_model_is_named_with_its_cure_and_not_switched_on_again(hear):
    with pytest.raises(TranscriptMissing, match="some/whisper") as caught:
        hear(ScriptedEars("words"), transcribe_model="some/whisper")
    assert "'transcript'" in caught.value.advice
    assert "hf download some/whisper" in caught.value.advice
    assert "--enable-auto-transcribe" not in caught.value.advice
