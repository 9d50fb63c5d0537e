from __future__ import annotations

import importlib.util
import socket
from dataclasses import replace

import pytest

from backend.cli import doctor
from backend.cli.doctor import Check, Verdict, examine, print_report
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.settings import Settings
from backend.units import SystemClock
from tests.engines.speech_files import write_checkout, write_models


@pytest.fixture
def settings(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings.from_env({}, data_dir=tmp_path, port=port, disk_floor_mb=1)


@pytest.fixture
def bare(monkeypatch):
    """A machine without the optional packages."""
    really = importlib.util.find_spec
    optional = ("torch", "flash_attn", "rembg")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in optional else really(name)
    )


def test_what_is_missing_comes_with_its_cost_and_cure(settings, bare):
    checks = {check.name: check for check in examine(settings)}
    for name in ("torch", "flash_attn", "rembg"):
        assert checks[name].verdict is Verdict.MISSING
        assert checks[name].cost
        assert "pip install" in checks[name].cure


def test_absent_extras_do_not_count_as_broken(settings, bare, capsys):
    assert print_report(settings) == 0
    shown = capsys.readouterr().out
    assert "costs:" in shown
    assert "rembg[cpu]" in shown


def test_a_full_disk_is_broken(settings, monkeypatch, capsys):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: type("D", (), {"free": 0})())
    assert print_report(settings) == 1
    assert "uploads are refused" in capsys.readouterr().out


def test_a_taken_port_is_noticed(settings):
    with socket.create_server((settings.host, settings.port)):
        checks = {check.name: check for check in examine(settings)}
    port = checks[f"Port {settings.port}"]
    assert port.verdict is Verdict.MISSING
    assert "--port" in port.cure


def test_examining_changes_nothing(settings):
    examine(settings)
    assert list(settings.data_dir.iterdir()) == []


@pytest.fixture
def weights(settings, tmp_path, monkeypatch):
    """Look for models in an empty folder only."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HY3DGEN_MODELS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = settings.data_dir / "models" / "hunyuan3d-2.1" / "hunyuan3d-dit-v2-1"
    folder.mkdir(parents=True)
    return folder


def test_models_are_told_with_what_is_missing_of_them(settings, weights):
    def told():
        return next(check for check in examine(settings) if check.name == "Models")

    assert (told().verdict, told().finding) == (Verdict.MISSING, "none is here")
    assert "models list" in told().cure
    (weights / "config.yaml").touch()
    assert told().finding == "not complete: hunyuan3d-2.1"
    (weights / "model.fp16.ckpt").touch()
    assert "licence" in told().finding
    assert "models accept hunyuan3d-2.1" in told().cure
    Acceptances(settings.data_dir / "models", SystemClock()).accept(model_of("hunyuan3d-2.1"))
    assert (told().verdict, told().finding) == (Verdict.OK, "ready: hunyuan3d-2.1")


def test_models_for_parts_alone_make_no_shapes(settings, weights):
    folder = settings.data_dir / "models" / "p3-sam" / "p3sam"
    folder.mkdir(parents=True)
    (folder / "p3sam.safetensors").touch()
    Acceptances(settings.data_dir / "models", SystemClock()).accept(model_of("p3-sam"))
    told = next(check for check in examine(settings) if check.name == "Models")
    assert told.verdict is Verdict.MISSING
    assert told.finding == "none that makes shapes; ready: p3-sam"


def test_a_damaged_record_of_licences_stops_nothing(settings, weights):
    (settings.data_dir / "models" / "accepted_licences.json").write_text("{")
    told = next(check for check in examine(settings) if check.name == "Models")
    assert told.verdict is Verdict.MISSING
    assert "accepted_licences.json" in told.finding


def of_speech(settings, **more):
    checks = examine(replace(settings, **more))
    return {check.name: check for check in checks if check.name in ("Speech", "Transcripts")}


def test_speech_that_is_not_set_up_costs_only_speech(settings, capsys):
    [check] = of_speech(settings).values()
    assert (check.verdict, check.name) == (Verdict.MISSING, "Speech")
    assert "all others run" in check.cost
    assert "--speech-path" in check.cure
    assert print_report(settings) == 0
    assert "--speech-path FOLDER" in capsys.readouterr().out


def test_what_a_checkout_lacks_is_named_until_it_is_there(settings, tmp_path):
    code, models = tmp_path / "code", tmp_path / "weights"
    given = {"speech_path": str(code), "speech_models": str(models)}
    assert str(code) in of_speech(settings, **given)["Speech"].finding
    write_checkout(code)
    check = of_speech(settings, **given)["Speech"]
    assert (check.verdict, "Step-Audio-Tokenizer" in check.finding) == (Verdict.MISSING, True)
    write_models(models)
    assert of_speech(settings, **given)["Speech"] == Check("Speech", Verdict.OK, f"ready: {code}")


def test_auto_transcribe_without_its_model_is_told(settings, tmp_path):
    wanted = {"auto_transcribe": True, "transcribe_model": str(tmp_path / "whisper")}
    check = of_speech(settings, **wanted)["Transcripts"]
    assert check.verdict is Verdict.MISSING
    assert "whisper" in check.finding
    assert "hf download" in check.cure


def test_a_long_path_with_brackets_can_be_copied_from_the_report(settings, tmp_path, capsys):
    code = tmp_path / "[old]" / ("deep" * 30)
    print_report(replace(settings, speech_path=str(code)))
    assert str(code) in capsys.readouterr().out
