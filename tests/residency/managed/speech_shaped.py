"""A class shaped as StepAudioTTS: networks in plain attributes, at depth, beside a runtime."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn

RATE_HZ = 24_000


class InferenceSession:
    """Called as ONNX Runtime's; it holds no torch module."""

    def __init__(self) -> None:
        self.is_open = True

    def run(self, text: str) -> list[int]:
        assert self.is_open
        return [ord(letter) % 64 for letter in text] or [0]


class TinyLanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 32)
        self.mix = nn.GRU(32, 32, batch_first=True)
        self.head = nn.Linear(32, 64)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(tokens))[0])


class Plain:
    """An object with whatever attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class TinyTTS:
    """Speaks noise; which arguments it was made with can be looked up."""

    made = 0

    def __init__(self, model_path: str = "", audio_tokenizer: Any = None, **given: Any) -> None:
        type(self).made += 1
        torch.manual_seed(7)
        self.given = given | {"model_path": model_path, "audio_tokenizer": audio_tokenizer}
        self.llm = TinyLanguageModel().eval()
        vocoder = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 48)).eval()
        self.cosy_model = Plain(cosy_impl=Plain(parts={"hift": [vocoder]}))
        self.tokenizer = Plain(session=InferenceSession())
        self.kv_cache: list[torch.Tensor] = []
        self.seen: list[tuple] = []
        self.during: Any = None
        self.busy = threading.Event()

    def clone(
        self, prompt_wav_path: str, prompt_text: str, target_text: str, **more: Any
    ) -> tuple[torch.Tensor, int]:
        self.seen.append((prompt_wav_path, prompt_text, target_text, more))
        return self._speak(target_text)

    def edit(
        self,
        input_audio_path: str,
        audio_text: str,
        edit_type: str,
        edit_info: str | None = None,
        text: str | None = None,
    ) -> tuple[torch.Tensor, int]:
        if edit_type == "explode":
            raise ValueError("no such edit")
        self.seen.append((input_audio_path, audio_text, edit_type, edit_info, text))
        return self._speak(text or audio_text)

    def secret(self) -> str:
        return "not listed"

    def _speak(self, text: str) -> tuple[torch.Tensor, int]:
        self.busy.set()
        if self.during is not None:
            self.during(self)
        device = self.llm.head.weight.device
        tokens = torch.tensor([self.tokenizer.session.run(text)], device=device)
        with torch.inference_mode():
            logits = self.llm(tokens)
            self.kv_cache.append(logits)
            return self.cosy_model.cosy_impl.parts["hift"][0](logits).flatten()[None].cpu(), RATE_HZ


def weights_bytes(tts: TinyTTS) -> int:
    modules = [tts.llm, tts.cosy_model.cosy_impl.parts["hift"][0]]
    return sum(p.numel() * p.itemsize for module in modules for p in module.parameters())
