"""The pipeline with an engine that does what a test says."""

from __future__ import annotations

import json

import pytest

from backend.audio.wav_file import read_wav, write_wav
from backend.catalog import SpeechParams, SpeechStageName
from backend.engines.engine import Listing, Role
from backend.engines.registry import EngineRegistry
from backend.engines.speech_task import SpokenResult, Waveform
from backend.engines.transcript import Transcript, TranscriptSource
from backend.errors import (
    EngineUnavailable,
    InvalidParameter,
    MissingFile,
    TranscriptMissing,
)
from backend.pipelines import speech
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.speech import SpeechPipeline
from backend.progress import SilentSink
from tests.audio.sounds import tone
from tests.pipelines.scripted_parts import ScriptedEngine


class ScriptedVoice(ScriptedEngine):
    name = "scripted_voice"
    title = "Scripted"

    def __init__(self, obstacle=None):
        self.tasks = []
        self._obstacle = obstacle

    def available(self):
        return self._obstacle

    def run(self, batch, progress):
        self.tasks += batch
        sound = Waveform(tone(0.5, rate_hz=24_000), 24_000)
        return [SpokenResult(sound, "A notice.", {"tokens": 3}) for _ in batch]


class Sink(SilentSink):
    def __init__(self):
        self.stages, self.warnings, self.artifacts, self.engines = [], [], [], {}

    def stage_started(self, stage):
        self.stages.append(stage)

    def warn(self, message):
        self.warnings.append(message)

    def artifact(self, name, role, path):
        self.artifacts.append((name, role, path.exists()))

    def engine_chosen(self, role, engine):
        self.engines[role] = engine


@pytest.fixture
def run(tmp_path):
    reference = tmp_path / "reference.wav"
    write_wav(tone(1.0), 16_000, reference)

    def start(engine=None, sink=None, inputs=None, **params):
        registry = EngineRegistry([Listing(Role.SPEECH, engine or ScriptedVoice(), rank=1)])
        given = {"reference": reference} if inputs is None else inputs
        request = PipelineRequest(given, SpeechParams(**params), tmp_path)
        return SpeechPipeline(registry).run(request, sink or Sink())

    return start


CLONE = {"task": "clone", "text": " Good morning. ", "transcript": "Hello.", "seed": 4}


def test_a_recording_goes_in_and_one_comes_out(run, tmp_path):
    engine, sink = ScriptedVoice(), Sink()
    outcome = run(engine, sink, **CLONE)
    [output] = outcome.outputs
    assert (output.name, output.role, output.format) == ("speech.wav", "speech", "wav")
    assert read_wav(output.path).duration_s == 0.5
    assert sink.stages == list(SpeechStageName)
    assert sink.artifacts == [("speech.wav", "speech", True)]
    assert sink.engines == {"speech": "scripted_voice"}
    assert sink.warnings == ["A notice."]
    [task] = engine.tasks
    assert (task.text, task.transcript, task.seed) == ("Good morning.", "Hello.", 4)
    assert task.scratch == tmp_path  # of the attempt: cleared up after a worker that was killed


def test_the_facts_say_what_was_spoken_from_what(run):
    outcome = run(**CLONE)
    facts = json.loads(json.dumps(outcome.facts))["speech"]
    assert facts["duration_s"] == 0.5
    assert facts["rate_hz"] == 24_000
    assert facts["reference"]["duration_s"] == 1.0
    assert facts["reference"]["rate_hz"] == 16_000
    assert len(facts["peaks"]) == len(facts["reference"]["peaks"]) == 200
    assert (facts["transcript"], facts["transcript_source"]) == ("Hello.", "given")
    assert facts["tokens"] == 3
    assert set(outcome.facts["timings_s"]) == set(SpeechStageName)


def test_a_style_reaches_the_engine_as_it_knows_it(run):
    engine = ScriptedVoice()
    run(engine, task="speed", style=" More FASTER", transcript="Hello.", passes=3)
    assert (engine.tasks[0].style, engine.tasks[0].passes) == ("more faster", 3)


def test_what_needs_no_words_is_not_written_down(run):
    facts = run(task="denoise").facts["speech"]
    assert (facts["transcript"], facts["transcript_source"]) == ("", "none")


def test_a_transcript_that_a_model_wrote_is_shown_for_correction(run, monkeypatch):
    monkeypatch.setenv("MESHKILN_AUTO_TRANSCRIBE", "1")
    heard = Transcript("Good day.", TranscriptSource.MODEL)
    monkeypatch.setattr(speech, "transcribed", lambda path, settings, progress: heard)
    engine = ScriptedVoice()
    facts = run(engine, **CLONE | {"transcript": ""}).facts["speech"]
    assert (facts["transcript"], facts["transcript_source"]) == ("Good day.", "model")
    assert engine.tasks[0].transcript == "Good day."


def test_without_words_and_without_a_model_nothing_is_spoken(run):
    engine = ScriptedVoice()
    with pytest.raises(TranscriptMissing):
        run(engine, **CLONE | {"transcript": ""})
    assert engine.tasks == []


def test_the_reason_why_a_model_writes_nothing_down_is_told(run, monkeypatch):
    monkeypatch.setenv("MESHKILN_AUTO_TRANSCRIBE", "1")
    monkeypatch.setenv("MESHKILN_TRANSCRIBE_MODEL", "nobody/nothing")
    with pytest.raises(TranscriptMissing, match=r"'nobody/nothing' .* is not on this machine"):
        run(**CLONE | {"transcript": ""})


def test_what_is_missing_is_told(run):
    with pytest.raises(MissingFile):
        run(inputs={}, **CLONE)
    with pytest.raises(InvalidParameter):
        run(**CLONE | {"text": ""})
    with pytest.raises(EngineUnavailable, match="no checkout"):
        run(ScriptedVoice("no checkout"), **CLONE)
