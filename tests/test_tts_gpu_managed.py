"""GPUManagedTTS by the calls that scripts make, with a tiny class in place of the real one."""

from __future__ import annotations

import sys

import pytest
import torch

from backend.errors import EngineUnavailable, InvalidParameter, UnknownModel
from backend.residency import process
from backend.residency.managed.unmovable import Unmovable
from backend.tts_gpu_managed import GPUManagedTTS
from tests.residency.managed.conftest import bytes_there, open_ledger, state_of  # noqa: F401
from tests.residency.managed.speech_shaped import TinyTTS

ORIGINAL = "import tests.residency.managed.speech_shaped as s\nStepAudioTTS = s.TinyTTS\n"


@pytest.fixture
def residency(open_ledger):  # noqa: F811
    return open_ledger()


@pytest.fixture
def make_tts(residency):
    def make(**more) -> GPUManagedTTS:
        given = {"tts_class": TinyTTS, "residency": residency} | more
        return GPUManagedTTS("models/x", "tokenizer", **given)

    return make


@pytest.fixture
def no_residency(monkeypatch):
    monkeypatch.setattr(process, "_current", None)


def program_of(residency) -> TinyTTS:
    return residency.manager().table.find("tts").loaded.program


def test_calls_are_those_of_the_class_underneath(make_tts, residency):
    tts = make_tts()
    sound, rate_hz = tts.clone("v.wav", "said", "to say")
    assert (sound.ndim, rate_hz) == (2, 24_000)
    assert torch.equal(sound, TinyTTS().clone("", "", "to say")[0])
    tts.edit("v.wav", "said", "emotion", "happy")
    tts.edit("v.wav", "said", "paralinguistic", text="said [Laughter]")
    tts.clone(prompt_wav_path="v.wav", prompt_text="said", target_text="more", temperature=0.3)
    assert program_of(residency).seen == [
        ("v.wav", "said", "to say", {}),
        ("v.wav", "said", "emotion", "happy", None),
        ("v.wav", "said", "paralinguistic", None, "said [Laughter]"),
        ("v.wav", "said", "more", {"temperature": 0.3}),
    ]


def test_every_argument_reaches_the_class_underneath(make_tts, residency):
    tts = make_tts(
        model_source="local", tts_model_id="id", torch_dtype=torch.float16, device_map="cuda:1",
        max_length=99,
    )  # fmt: skip
    tts.clone("", "", "x")
    assert program_of(residency).given == {
        "model_path": "models/x", "audio_tokenizer": "tokenizer", "model_source": "local",
        "tts_model_id": "id", "quantization_config": None, "torch_dtype": torch.float16,
        "device_map": "cpu", "max_length": 99,
    }  # fmt: skip


def test_what_was_not_given_is_left_to_the_class(make_tts, residency):
    make_tts().clone("", "", "x")
    given = program_of(residency).given
    assert "model_source" not in given
    assert given["torch_dtype"] is torch.bfloat16


def test_errors_of_the_class_come_as_they_are(make_tts, residency):
    with pytest.raises(ValueError, match="no such edit"):
        make_tts().edit("", "", "explode")
    assert bytes_there(residency) == 0


def test_status_and_buttons_act_on_the_name_under_which_it_is_listed(make_tts, residency):
    tts = make_tts()
    assert tts.get_gpu_status()["models"]["tts"]["location"] == "unloaded"
    residency.change_rules(policy=process.Policy.RESIDENT)
    tts.clone("", "", "x")
    status = tts.get_gpu_status()
    assert status["models"]["tts"]["location"] == "GPU"
    assert status["models"]["tts"]["idle_seconds"] >= 0
    assert status["gpu_memory_mb"] > 0
    assert (status["idle_timeout"], status["management"]) == (600.0, True)
    assert tts.force_offload() == {"tts": "done"}
    assert bytes_there(residency) == 0
    assert tts.get_gpu_status()["models"]["tts"]["location"] == "CPU"
    assert tts.force_release("tts") == {"tts": "done"}
    assert tts.get_gpu_status()["models"]["tts"]["location"] == "unloaded"
    with pytest.raises(UnknownModel, match="'step'"):
        tts.force_release("step")


def test_a_hook_drops_what_calls_leave_behind(make_tts, residency):
    tts = make_tts(unmovable=(Unmovable("", lambda program: program.kv_cache.clear()),))
    tts.clone("", "", "x")
    assert program_of(residency).kv_cache == []


def test_without_management_nothing_is_moved_or_leased(make_tts, residency):
    tts = make_tts(enable_gpu_management=False, device_map="cuda:0")
    made = TinyTTS.made
    tts.clone("", "", "x")
    tts.clone("", "", "y")
    assert TinyTTS.made == made + 1
    assert tts._plain.given["device_map"] == "cuda:0"
    assert residency.names == []
    assert not residency.started
    status = tts.get_gpu_status()
    assert status["management"] is False
    assert status["models"]["tts"]["location"] == "unmanaged"
    with pytest.raises(InvalidParameter, match="GPU management is off"):
        tts.force_offload()
    assert tts.force_release() == {"tts": "done"}
    assert tts.get_gpu_status()["models"]["tts"]["location"] == "unloaded"


def test_a_quantised_one_is_dropped_after_use_and_keeps_its_device(make_tts, residency):
    tts = make_tts(quantization_config="int4", budget_mb=2)
    made = TinyTTS.made
    tts.clone("", "", "x")
    assert program_of(residency) is None
    assert bytes_there(residency) == 0
    assert tts.get_gpu_status()["models"]["tts"]["location"] == "unloaded"
    tts.clone("", "", "x")
    assert TinyTTS.made == made + 2


def test_the_users_own_class_is_imported_when_it_is_first_called(tmp_path, monkeypatch, residency):
    monkeypatch.delitem(sys.modules, "tts", raising=False)
    tts = GPUManagedTTS("m", residency=residency)
    with pytest.raises(EngineUnavailable, match="No module named 'tts'") as caught:
        tts.clone("", "", "x")
    assert "--speech-path" in caught.value.advice
    tts.force_release()
    (tmp_path / "tts.py").write_text(ORIGINAL)
    monkeypatch.syspath_prepend(tmp_path)
    assert tts.clone("", "", "x")[1] == 24_000
    monkeypatch.delitem(sys.modules, "tts")


def test_alone_in_a_process_it_offloads_after_use_and_keeps_its_timeout(no_residency, monkeypatch):
    monkeypatch.setenv("MESHKILN_GPU", "cpu")
    tts = GPUManagedTTS("m", gpu_idle_timeout=120, tts_class=TinyTTS)
    opened = process.current_residency()
    tts.clone("", "", "x")
    assert state_of(opened) == "host"
    assert opened.status()["residency"]["idle_release_s"] == 120.0
    second = GPUManagedTTS("m", gpu_idle_timeout=5, tts_class=TinyTTS, name="second")
    assert second.get_gpu_status()["idle_timeout"] == 120.0
    tts.close()
    assert state_of(opened) == "unloaded"
    opened.close()
