"""Hosts a Step-Audio-EditX checkout through the interface that its description documents."""

from __future__ import annotations

import contextlib
import enum
import importlib
import inspect
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .listening import Listener, host
from .sound import as_samples, write_wav
from .traps import (
    cuda_means_processor,
    drop_caches,
    keep_onnx_on_processor,
    seed_all,
    stay_offline,
)

CUDA = "cuda"


def open_speech(tokenizer_folder: str, model_folder: str, in_place: bool = False) -> HostedSpeech:
    """Construct the program; its modules ``tokenizer`` and ``tts`` are on the path.

    Parameters
    ----------
    tokenizer_folder, model_folder : str
        Step-Audio-Tokenizer and Step-Audio-EditX.
    in_place : bool
        The weights cannot be moved (quantised ones), so that they are loaded where they are used.
    """
    stay_offline()
    keep_onnx_on_processor()
    import torch

    on_gpu = _device() == CUDA
    loads_on_gpu = on_gpu and in_place
    with contextlib.nullcontext() if loads_on_gpu else cuda_means_processor():
        tokenizer_class = _named("tokenizer", "StepAudioTokenizer")
        tts_class = _named("tts", "StepAudioTTS")
        tokenizer = tokenizer_class(tokenizer_folder, **_accepted(tokenizer_class, {}))
        wishes = {
            "tts_model_id": None,
            "quantization_config": None,
            "torch_dtype": torch.bfloat16 if on_gpu else torch.float32,
            "device_map": CUDA if loads_on_gpu else "cpu",
        }
        tts = tts_class(model_folder, tokenizer, **_accepted(tts_class, wishes))
    return HostedSpeech(tts)


class HostedSpeech:
    """The program, called with a seed, listened to, its result plain numbers.

    Parameters
    ----------
    tts : StepAudioTTS
        Its own class.
    """

    def __init__(self, tts: Any) -> None:
        self.tts = tts
        roots = _roots(tts)
        self._listener = Listener(roots)
        guest = host()
        if guest is not None:
            guest.on_offload(partial(drop_caches, roots))

    def clone(
        self, prompt_wav_path: str, prompt_text: str, target_text: str, seed: int
    ) -> dict[str, Any]:
        """Have the voice of a recording say something new; returns what ``_spoken`` does."""
        return self._spoken(seed, lambda: self.tts.clone(prompt_wav_path, prompt_text, target_text))

    def edit(
        self,
        input_audio_path: str,
        audio_text: str,
        edit_type: str,
        edit_info: str | None,
        text: str | None,
        seed: int,
        passes: int,
        folder: str,
    ) -> dict[str, Any]:
        """Change a recording, as often as asked, each time what came out before.

        Parameters
        ----------
        passes : int
            How often.
        folder : str
            Takes what comes out between; who calls removes it.
        """

        def once(path: str) -> Any:
            return self.tts.edit(path, audio_text, edit_type, edit_info=edit_info, text=text)

        path = input_audio_path
        done: list[dict[str, Any]] = []
        for number in range(passes):
            if passes > 1:
                _tell(number, passes)
            if done:
                path = str(Path(folder) / f"pass-{number}.wav")
                write_wav(done[-1]["samples"], done[-1]["rate_hz"], path)
            done.append(self._spoken(seed + number, partial(once, path)))
        return _in_all(done)

    def _spoken(self, seed: int, speak: Callable[[], Any]) -> dict[str, Any]:
        """Call the program.

        Returns
        -------
        dict
            ``samples`` ((n,) float32), ``rate_hz``, ``tokens`` (None where nobody knows),
            ``compute_s``.
        """
        self._listener.begin()
        seed_all(seed)
        started_s = time.perf_counter()
        with contextlib.nullcontext() if _device() == CUDA else cuda_means_processor():
            sound, rate_hz = speak()
        samples = as_samples(sound)
        return {
            "samples": samples,
            "rate_hz": int(rate_hz),
            "tokens": self._listener.tokens,
            "compute_s": time.perf_counter() - started_s,
        }


def _in_all(passes: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the sound of the last pass, and the sums of all."""
    tokens = [one["tokens"] for one in passes]
    return {
        **passes[-1],
        "tokens": None if None in tokens else sum(tokens),
        "compute_s": sum(one["compute_s"] for one in passes),
    }


def _device() -> str:
    """Where the server wants the weights; without one, where torch would put them."""
    guest = host()
    if guest is not None:
        return str(guest.device)
    import torch

    return CUDA if torch.cuda.is_available() else "cpu"


def _tell(done: int, total: int) -> None:
    guest = host()
    if guest is not None:
        guest.report(done, total)


def _roots(program: Any) -> list[Any]:
    """Find the modules wherever they hide; the graph is walked, no attribute is named."""
    if host() is None:
        return []
    find = importlib.import_module("meshkiln_guest.module_roots").find_roots
    return [module for _, module in find(program)]


def _named(module: str, name: str) -> Any:
    """Import a class; says what is missing when the checkout is of another kind."""
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise ImportError(f"{found.__file__} has no class {name}: is it Step-Audio-EditX?")
    return getattr(found, name)


def _accepted(kind: Any, wishes: dict[str, Any]) -> dict[str, Any]:
    """Keep the arguments that a class takes, and ask for local files where it can be asked."""
    parameters = inspect.signature(kind).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    kept = {name: value for name, value in wishes.items() if takes_all or name in parameters}
    source = parameters.get("model_source")
    if source is not None:
        kept["model_source"] = _local(source.default)
    return kept


def _local(default: Any) -> Any:
    """Name local files the way the program does: a member of its enumeration, or the word."""
    if isinstance(default, enum.Enum):
        kind = type(default)
        for member in kind:
            if "local" in (str(member.value).lower(), member.name.lower()):
                return member
        return default
    return "local"
