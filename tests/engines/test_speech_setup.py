from __future__ import annotations

import json

import pytest

from backend.engines import speech_setup as found_by
from backend.engines.speech_cache import cache_facts, saved_in, stage_cache
from backend.engines.speech_row import speech_row
from backend.engines.speech_setup import (
    EDITOR,
    TOKENIZER,
    TOKENIZER_FILES,
    speech_obstacle,
    speech_setup,
    transcriber_obstacle,
    transcriber_setup,
)
from backend.errors import EngineUnavailable
from backend.jobs.model_rows import shelf_document
from backend.units import SystemClock
from tests.engines.speech_files import speech_settings, write_checkout, write_models


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    write_checkout(tmp_path / "code")
    write_models(tmp_path / "models")
    return speech_settings(tmp_path)


def test_a_whole_checkout_is_found(settings, tmp_path):
    found = speech_setup(settings)
    assert speech_obstacle(settings) is None
    # the link itself: a virtual environment's packages are found by where it lies
    assert found.python == tmp_path / "code" / ".venv" / "bin" / "python"
    assert found.tokenizer == tmp_path / "models" / TOKENIZER
    assert found.editor == tmp_path / "models" / EDITOR
    assert not found.is_tiny
    assert not found.is_quantised


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("code/tts.py", "lacks tts.py"),
        ("code/.venv/bin/python", r"no Python interpreter .*\.venv/bin/python"),
        (f"models/{TOKENIZER}/speech_tokenizer_v1.onnx", "lacks speech_tokenizer_v1.onnx"),
        (f"models/{EDITOR}/CosyVoice-300M-25Hz/hift.pt", "lacks CosyVoice-300M-25Hz/hift.pt"),
        (f"models/{EDITOR}/model.safetensors", "lacks its weights"),
    ],
)
def test_what_is_missing_is_named(settings, tmp_path, gone, words):
    (tmp_path / gone).unlink()
    with pytest.raises(EngineUnavailable, match=words) as caught:
        speech_setup(settings)
    assert "docs/speech.md" in caught.value.advice


def test_folders_that_are_not_there_are_named(settings, tmp_path):
    assert "--speech-path" in speech_obstacle(speech_settings(tmp_path, speech_path=""))
    assert "no folder" in speech_obstacle(speech_settings(tmp_path, speech_path="/nowhere"))
    empty = tmp_path / "empty"
    empty.mkdir()
    said = speech_obstacle(speech_settings(tmp_path, speech_models=str(empty)))
    assert TOKENIZER in said
    assert str(empty) in said


def test_models_are_also_found_by_model_path_and_in_the_checkout(settings, tmp_path):
    by_model_path = speech_settings(tmp_path, speech_models="", model_path=str(tmp_path / "models"))
    assert speech_setup(by_model_path).editor.parent == tmp_path / "models"
    write_models(tmp_path / "code")
    assert speech_setup(speech_settings(tmp_path, speech_models="")).editor.parent == (
        tmp_path / "code"
    )


def test_an_interpreter_may_be_named_as_file_or_as_environment(settings, tmp_path):
    python = tmp_path / "code" / ".venv" / "bin" / "python"
    for named in (python, tmp_path / "code" / ".venv"):
        assert speech_setup(speech_settings(tmp_path, speech_python=str(named))).python == python


def test_the_stand_in_and_quantised_weights_are_recognised(settings, tmp_path):
    (tmp_path / "code" / "TINY").write_text("noise")
    config = {"quantization_config": {"quant_method": "awq"}}
    (tmp_path / "models" / EDITOR / "config.json").write_text(json.dumps(config))
    found = speech_setup(settings)
    assert found.is_tiny
    assert found.is_quantised
    assert speech_row(settings)["is_tiny"]


def test_other_files_make_another_version(settings, tmp_path):
    before = speech_setup(settings).version()
    (tmp_path / "models" / TOKENIZER / "linguistic_tokenizer.npy").write_bytes(b"others")
    assert speech_setup(settings).version() != before


def whisper(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def transcribing(tmp_path, **more):
    return speech_settings(tmp_path, auto_transcribe=True, **more)


def test_transcription_is_off_unless_asked_for(settings):
    assert "--enable-auto-transcribe" in transcriber_obstacle(settings)


def test_a_whisper_model_is_found_by_folder_among_models_and_in_the_hubs_cache(settings, tmp_path):
    folder = whisper(tmp_path / "own")
    named = transcribing(tmp_path, transcribe_model=str(folder))
    assert transcriber_setup(named).model == folder
    beside = whisper(tmp_path / "models" / "whisper-large-v3")
    assert transcriber_setup(transcribing(tmp_path)).model == beside
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub" / "models--a--b"
    snapshot = whisper(cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc\n")
    assert transcriber_setup(transcribing(tmp_path, transcribe_model="a/b")).model == snapshot


def test_a_whisper_model_that_is_not_here_is_never_downloaded(settings, tmp_path):
    with pytest.raises(EngineUnavailable, match="not on this machine") as caught:
        transcriber_setup(transcribing(tmp_path))
    assert "hf download openai/whisper-large-v3" in caught.value.advice


def test_without_an_interpreter_that_has_transformers_nothing_is_written_down(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(found_by.importlib.util, "find_spec", lambda _: None)
    folder = str(whisper(tmp_path / "own"))
    alone = transcribing(tmp_path, transcribe_model=folder, speech_path="")
    with pytest.raises(EngineUnavailable, match="transformers") as caught:
        transcriber_setup(alone)
    assert "requirements-speech.txt" in caught.value.advice
    assert transcriber_obstacle(transcribing(tmp_path, transcribe_model=folder)) is None


def test_the_row_says_what_the_page_shows(settings, tmp_path):
    row = speech_row(settings)
    assert row["unavailable"] is None
    assert row["auto_transcribe"] is False
    assert row["cache"]["entries"] == 0
    nothing = speech_row(speech_settings(tmp_path, speech_path=""))
    assert nothing["cache"] is None
    assert "--speech-path" in nothing["unavailable"]


def test_what_the_cache_saved_is_counted(settings):
    for expected in ({"hits": 0, "misses": 1}, {"hits": 1, "misses": 0}):
        with saved_in(settings) as saved:
            stage_cache(settings).get_or_compute("engine", "1", "hear", ("a",), {}, lambda: "words")
        assert expected.items() <= saved.facts.items()
    assert cache_facts(settings)["entries"] == 1


def test_the_worker_tells_the_web_of_speech(settings):
    assert shelf_document(settings, SystemClock())["speech"] == speech_row(settings)


def test_other_weights_start_another_program_and_keep_what_recordings_came_to(settings, tmp_path):
    found = speech_setup(settings)
    before = (found.version(), found.weights())
    (tmp_path / "models" / EDITOR / "CosyVoice-300M-25Hz" / "flow.pt").write_bytes(b"others")
    assert found.version() == before[0]
    assert found.weights() != before[1]


@pytest.mark.parametrize(
    "name", [f"{EDITOR}/model.safetensors", f"{TOKENIZER}/{TOKENIZER_FILES[1]}"]
)
def test_files_that_git_lfs_did_not_fetch_are_named(settings, tmp_path, name):
    path = tmp_path / "models" / name
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")
    said = speech_obstacle(settings)
    assert path.name in said
    assert "git lfs pull" in said


def test_a_part_of_the_weights_that_is_missing_is_named(settings, tmp_path):
    index = tmp_path / "models" / EDITOR / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}})
    )
    assert speech_obstacle(settings).endswith("lacks model-2.safetensors")
    index.write_text("[1]")
    assert speech_obstacle(settings) is None


def test_what_cannot_be_run_is_no_interpreter(settings, tmp_path):
    readme = tmp_path / "README"
    readme.write_text("words")
    said = speech_obstacle(speech_settings(tmp_path, speech_python=str(readme)))
    assert f"no Python interpreter {readme}" in said


@pytest.mark.parametrize("name", ["speech_path", "speech_python", "speech_models"])
def test_the_home_of_nobody_is_a_folder_that_is_not_there(settings, tmp_path, name):
    said = speech_obstacle(speech_settings(tmp_path, **{name: "~nobody-of-this-name/there"}))
    assert "~nobody-of-this-name/there" in said
