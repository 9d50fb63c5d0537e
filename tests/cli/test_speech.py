"""The command that makes speech, in this process and on a server, with a scripted engine."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from backend.cli import remote
from backend.cli.main import main
from backend.pipelines import catalogue
from tests.web.conftest import MadeFile
from tests.web.recordings import heard_here, wav_bytes  # noqa: F401

pytestmark = pytest.mark.usefixtures("heard_here")
MADE = b"RIFF what was made"
FACTS = {"speech": {"duration_s": 1.25, "engine": "step_audio", "transcript_source": "given"}}


@dataclass
class Scripted:
    """Takes the place of the pipeline, and remembers what it was asked for."""

    request: object = None
    heard: bytes = b""

    def run(self, pipeline, request, sink):
        assert pipeline == "speech"
        self.request, self.heard = request, request.inputs["reference"].read_bytes()
        sink.stage_started("speech_synthesis")
        sink.warn("This is noise.")
        sink.stage_finished("speech_synthesis", 0.1)
        path = request.out_dir / "speech.wav"
        path.write_bytes(MADE)
        return SimpleNamespace(outputs=[MadeFile(path.name, "wav", "speech", path)], facts=FACTS)


@pytest.fixture
def scripted(monkeypatch):
    made = Scripted()
    monkeypatch.setattr(catalogue, "run_pipeline", made.run)
    return made


@pytest.fixture
def voice(tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(wav_bytes(channels=2))
    return str(path)


def test_a_recording_and_words_become_a_file(tmp_path, voice, scripted, capsys):
    out = tmp_path / "said.wav"
    words = ["--text", "Good day.", "--transcript", "Hello."]
    assert main(["speech", voice, "-o", str(out), *words, "--seed", "7"]) == 0
    assert out.read_bytes() == MADE
    assert scripted.heard != wav_bytes(channels=2), "it is judged and written anew"
    params = scripted.request.params
    assert (params.task, params.text, params.transcript, params.seed) == (
        "clone", "Good day.", "Hello.", 7
    )  # fmt: skip
    shown = capsys.readouterr().err
    assert "1.2 s of speech (step_audio, seed 7)" in shown
    assert "This is noise." in shown


@pytest.mark.parametrize(("arguments", "word"), [
    (["--text", "Good day."], "transcript"),
    (["--transcript", "Hello."], "text"),
    (["--task", "emotion", "--transcript", "Hello.", "--style", "greenish"], "happy"),
    (["--task", "denoise", "-p", "passes=77"], "passes"),
])  # fmt: skip
def test_what_is_missing_is_told_before_any_work(
    tmp_path, voice, scripted, capsys, arguments, word
):
    out = tmp_path / "said.wav"
    assert main(["speech", voice, "-o", str(out), *arguments]) == 1
    assert word in capsys.readouterr().err
    assert scripted.request is None
    assert not out.exists()


def test_a_task_that_does_not_exist_is_answered_with_those_that_do(voice, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["speech", voice, "-o", "said.wav", "--task", "sing"])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert "clone" in shown
    assert "SpeechTask" not in shown, "words, not names of the code"


def test_a_name_that_cannot_be_written_is_refused_at_once(tmp_path, voice, scripted, capsys):
    for name, word in (("said.mp3", ".wav"), ("nowhere/said.wav", "no folder")):
        arguments = ["speech", voice, "-o", str(tmp_path / name), "--task", "denoise"]
        assert main(arguments) == 1
        assert word in capsys.readouterr().err
    assert scripted.request is None


def test_a_file_that_is_no_recording_is_refused(tmp_path, scripted, capsys):
    (tmp_path / "note.wav").write_text("hello")
    out = ["-o", str(tmp_path / "said.wav"), "--task", "vad"]
    assert main(["speech", str(tmp_path / "note.wav"), *out]) == 1
    assert "WAV, FLAC, OGG or MP3" in capsys.readouterr().err
    assert main(["speech", str(tmp_path / "none.wav"), *out]) == 1
    assert "none.wav" in capsys.readouterr().err


def test_a_server_does_the_work(tmp_path, voice, monkeypatch, capsys):
    asked = {}
    heard = {"transcript_source": "model", "transcript": "Hello."}

    def run(server, pipeline, files, params, sink):
        asked.update(server=server, pipeline=pipeline, files=files, params=params)
        outputs = [{"role": "speech", "url": "/speech.wav"}]
        return {"outputs": outputs, "facts": {"speech": FACTS["speech"] | heard}}

    monkeypatch.setattr(remote, "run_on_server", run)
    monkeypatch.setattr(remote, "fetch", lambda server, url: MADE + url.encode())
    out = tmp_path / "said.wav"
    arguments = ["speech", voice, "-o", str(out), "--text", "Bye.", "--server", "http://x"]
    assert main(arguments) == 0, "only the server knows whether it can write down what is said"
    assert out.read_bytes() == MADE + b"/speech.wav"
    assert asked["pipeline"] == "speech"
    assert asked["files"]["file"][0] == "voice.wav"
    assert asked["params"]["text"] == "Bye."
    assert "A model wrote down of the recording: Hello." in capsys.readouterr().err


def test_without_a_program_that_speaks_the_way_to_one_is_told(tmp_path, voice, monkeypatch, capsys):
    for name in ("PATH", "PYTHON", "MODELS"):
        monkeypatch.delenv(f"MESHKILN_SPEECH_{name}", raising=False)
    out = tmp_path / "said.wav"
    assert main(["speech", voice, "-o", str(out), "--task", "denoise"]) == 1
    shown = capsys.readouterr().err
    assert "no program for speech is set up" in shown
    assert "docs/speech.md" in shown
    assert not out.exists()
