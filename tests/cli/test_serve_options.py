from __future__ import annotations

import pytest

from backend.cli.main import main
from backend.jobs import supervisor


@pytest.fixture
def serve(monkeypatch):
    """Run ``serve`` up to the point where processes would start; returns its settings."""

    def run(*options: str):
        asked = []
        monkeypatch.setattr(supervisor, "serve", lambda settings, part: asked.append(settings) or 0)
        assert main(["serve", *options]) == 0
        return asked[0]

    return run


def test_options_of_speech_reach_the_settings(serve, monkeypatch):
    monkeypatch.setenv("MESHKILN_SPEECH_MODELS", "/from/the/environment")
    settings = serve(
        "--speech-path", "/s", "--speech-python", "/p", "--enable-auto-transcribe",
        "--model-path", "/m", "--gpu-idle-timeout", "120",
    )  # fmt: skip
    assert (settings.speech_path, settings.speech_python) == ("/s", "/p")
    assert settings.speech_models == "/from/the/environment"
    assert settings.auto_transcribe is True
    assert (settings.model_path, settings.idle_release_s) == ("/m", 120.0)


def test_what_is_not_asked_for_is_left_to_the_environment(serve, monkeypatch):
    assert serve().auto_transcribe is False
    monkeypatch.setenv("MESHKILN_AUTO_TRANSCRIBE", "true")
    settings = serve()
    assert (settings.auto_transcribe, settings.speech_path) == (True, "")
    assert settings.provenance["auto_transcribe"] == "MESHKILN_AUTO_TRANSCRIBE"


@pytest.mark.parametrize(
    ("option", "managed"),
    [("--enable-gpu-management", True), ("--disable-gpu-management", False)],
)
def test_gpu_management_can_be_turned_off(serve, option, managed):
    assert serve(option).gpu_management is managed
