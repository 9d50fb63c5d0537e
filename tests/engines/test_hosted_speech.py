"""What runs inside a speech program's own process, called here; the programs are a few lines."""

from __future__ import annotations

import ast
import os
import random
import socket
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from backend.engines.hosted_speech.meshkiln_speech import sound, traps
from backend.engines.hosted_speech.meshkiln_speech.listening import Listener
from backend.engines.hosted_speech.meshkiln_speech.step_audio import HostedSpeech, open_speech
from tests.audio.sounds import tone

TOKENIZER = """
import enum

class Source(enum.Enum):
    AUTO = "auto"
    LOCAL = "local"

class StepAudioTokenizer:
    def __init__(self, encoder_path, model_source=Source.AUTO):
        self.given = (encoder_path, model_source)
"""
TTS = """
import torch
from tokenizer import Source

class StepAudioTTS:
    def __init__(self, model_path, audio_tokenizer, model_source=Source.AUTO, device_map="cuda"):
        self.given = (model_path, audio_tokenizer, model_source, device_map)
        self.head = torch.nn.Linear(2, 2).to("cuda")
        self.heard = []

    def clone(self, prompt_wav_path, prompt_text, target_text):
        return torch.rand(1, 2400).to("cuda") - 0.5, 24000

    def edit(self, input_audio_path, audio_text, edit_type, edit_info=None, text=None):
        self.heard.append((input_audio_path, audio_text, edit_type, edit_info, text))
        return torch.rand(1, 2400) - 0.5, 24000
"""


@pytest.fixture
def online(monkeypatch):
    """What keeps a hosted process from the network is taken back after the test."""
    for name in traps.OFFLINE:
        monkeypatch.setenv(name, "0")
    connect = socket.socket.connect
    yield
    socket.socket.connect = connect
    if hasattr(socket.socket, "meshkiln_connect"):
        del socket.socket.meshkiln_connect


@pytest.fixture
def program(tmp_path, monkeypatch, online):
    """A checkout's modules, on the path as they are in its process."""
    (tmp_path / "tokenizer.py").write_text(TOKENIZER)
    (tmp_path / "tts.py").write_text(TTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("tokenizer", "tts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("tokenizer", "tts"):
        sys.modules.pop(name, None)


@pytest.fixture
def guest(monkeypatch):
    """Speaks for the server, as in a hosted process."""
    made = types.ModuleType("meshkiln_guest")
    made.device, made.told, made.canceled, made.before_offload = "cpu", [], False, []

    class Canceled(BaseException):
        pass

    def report(done, total=None):
        made.told.append((done, total))
        if made.canceled:
            raise Canceled

    made.Canceled, made.report = Canceled, report
    made.is_canceled = lambda: made.canceled
    made.on_offload = made.before_offload.append
    monkeypatch.setitem(sys.modules, "meshkiln_guest", made)
    return made


def test_a_checkout_is_constructed_from_local_files_in_host_memory(program):
    made = open_speech("/models/tokenizer", "/models/editor").tts
    path, tokenizer, source, device = made.given
    assert (path, source.value, device) == ("/models/editor", "local", "cpu")
    assert (tokenizer.given[0], tokenizer.given[1].value) == ("/models/tokenizer", "local")
    assert made.head.weight.device.type == "cpu"
    assert all(os.environ[name] == "1" for name in traps.OFFLINE)


def test_other_machines_are_out_of_reach_and_this_one_is_not(online):
    traps.stay_offline()
    traps.stay_offline()
    for address in (("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)):
        family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
        with socket.socket(family) as line, pytest.raises(OSError, match="from the network"):
            line.connect(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        server.accept()[0].close()


def test_a_checkout_of_another_kind_is_refused_in_words(program):
    (program / "tts.py").write_text("class Other: pass\n")
    with pytest.raises(ImportError, match="has no class StepAudioTTS"):
        open_speech("a", "b")


def test_the_same_seed_gives_the_same_sound_though_the_program_seeds_nothing(program):
    speech = open_speech("a", "b")
    first, again, other = (speech.clone("x.wav", "a", "b", seed) for seed in (1, 1, 2))
    assert np.array_equal(first["samples"], again["samples"])
    assert not np.array_equal(first["samples"], other["samples"])
    assert first["samples"].dtype == np.float32
    assert (first["rate_hz"], first["tokens"]) == (24_000, None)


def test_each_pass_hears_what_came_out_of_the_one_before(program, tmp_path, guest, monkeypatch):
    monkeypatch.setattr(
        "backend.engines.hosted_speech.meshkiln_speech.step_audio._roots", lambda _: []
    )
    speech = open_speech("a", "b")
    result = speech.edit("in.wav", "words", "emotion", "happy", None, 5, 3, str(tmp_path))
    heard = [path for path, *_ in speech.tts.heard]
    assert heard == ["in.wav", str(tmp_path / "pass-1.wav"), str(tmp_path / "pass-2.wav")]
    assert speech.tts.heard[0][1:] == ("words", "emotion", "happy", None)
    assert guest.told == [(0, 3), (1, 3), (2, 3)]
    passed_on, rate_hz = sound.read_wav(heard[1])
    assert (len(passed_on), rate_hz) == (2400, 24_000)
    assert not np.allclose(passed_on, result["samples"], atol=1e-3)


def test_every_way_to_fix_a_device_leads_to_the_processor(tmp_path):
    torch.save(torch.zeros(2), tmp_path / "weights.pt")
    with traps.cuda_means_processor():
        made = [
            torch.zeros(2).to("cuda"),
            torch.zeros(2).to("cuda:1", torch.float16),
            torch.zeros(2).to(device=torch.device("cuda", 0)),
            torch.zeros(2).cuda(),
            torch.zeros(2, device="cuda"),
            torch.tensor([1], device=torch.device("cuda")),
            torch.load(tmp_path / "weights.pt", map_location="cuda"),
            nn.Linear(2, 2).to("cuda").weight,
            nn.Linear(2, 2).cuda().weight,
            nn.Linear(2, 2, device="cuda").weight,
        ]
    assert {one.device.type for one in made} == {"cpu"}
    assert made[1].dtype is torch.float16


def test_onnx_runtime_stays_on_the_processor_whatever_a_program_asks_for(monkeypatch):
    runtime = types.ModuleType("onnxruntime")

    class InferenceSession:
        def __init__(self, path_or_bytes, sess_options=None, providers=None, **others):
            self.given = (path_or_bytes, providers, others)

    runtime.InferenceSession = InferenceSession
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    traps.keep_onnx_on_processor()
    traps.keep_onnx_on_processor()
    made = runtime.InferenceSession(
        "a.onnx", providers=["CUDAExecutionProvider"], provider_options=[{}]
    )
    assert made.given == ("a.onnx", ["CPUExecutionProvider"], {})
    assert isinstance(made, InferenceSession)
    assert type(made).__mro__[2] is InferenceSession or type(made).__mro__[1] is InferenceSession


def test_one_seed_seeds_every_generator():
    drawn = []
    for _ in range(2):
        traps.seed_all(2**40 + 7)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(1))))  # noqa: NPY002
    assert drawn[0] == drawn[1]


class StaticCache:
    """Named as transformers names such things."""


class Speaker(nn.Module):
    """A language model of nothing: four tokens a call; a part of it has the method too."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 1))
        self.body.generate = lambda: None
        self._cache, self.body.past_key_values = StaticCache(), ((torch.ones(8),),)
        self.body._cache = {"of": "something else"}

    def forward(self, x):
        return self.body(x)

    def generate(self, x):
        for _ in range(4):
            x = self(x)
        return x


def test_tokens_are_counted_once_and_told(guest):
    speaker = Speaker()
    listener = Listener([speaker])
    for _ in range(2):
        listener.begin()
        speaker.generate(torch.zeros(1, 1))
        assert listener.tokens == 4
    assert guest.told[:4] == [(1, None), (2, None), (3, None), (4, None)]


def test_a_cancel_ends_a_call_whose_modules_generate_nothing(guest):
    module = nn.Sequential(nn.Sequential(nn.Linear(1, 1)))
    listener = Listener([module])
    listener.begin()
    module(torch.zeros(1, 1))
    assert listener.tokens is None
    assert guest.told == []
    guest.canceled = True
    with pytest.raises(guest.Canceled):
        module(torch.zeros(1, 1))


def test_what_a_call_left_in_memory_is_dropped_before_the_weights_leave(guest, monkeypatch):
    speaker = Speaker()
    monkeypatch.setattr(
        "backend.engines.hosted_speech.meshkiln_speech.step_audio._roots", lambda _: [speaker]
    )
    HostedSpeech(object())
    [callback] = guest.before_offload
    callback()
    assert speaker._cache is speaker.body.past_key_values is None
    assert speaker.body._cache == {"of": "something else"}


@pytest.mark.parametrize("to_hz", [8_000, 16_000, 24_000, 44_100])
def test_another_rate_keeps_length_and_pitch(to_hz):
    there = sound.resampled(tone(1.0, hertz=500), 16_000, to_hz)
    assert len(there) == to_hz
    assert np.abs(np.fft.rfft(there)).argmax() == 500
    assert np.std(there) == pytest.approx(np.std(tone(1.0)), rel=0.01)


def test_what_programs_return_becomes_numbers():
    for made in (torch.ones(1, 4, dtype=torch.bfloat16), np.ones((4, 1)), torch.ones(4)):
        samples = sound.as_samples(made)
        assert samples.shape == (4,)
        assert samples.dtype == np.float32
    with pytest.raises(ValueError, match="not one channel"):
        sound.as_samples(torch.ones(2, 4))


@pytest.mark.parametrize(
    "path", sorted(Path(traps.__file__).parent.glob("*.py")), ids=lambda path: path.name
)
def test_it_is_loaded_by_python_3_9_without_any_package(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert {one.name for one in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.partition(".")[0] in sys.stdlib_module_names
