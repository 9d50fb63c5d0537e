"""The class that speaks, with the calls of Step-Audio-EditX, by one layer of random weights.

It needs torch and nothing else, so that its process starts soon. The stand-in with networks of
transformers is ``bench/tiny_speech``.
"""

from __future__ import annotations

from typing import Any

import torch

RATE_HZ = 24_000
LETTER = 2_400  # samples


class StepAudioTTS:
    """Hums one tone for each letter.

    Parameters
    ----------
    model_path : str
        The folder Step-Audio-EditX.
    audio_tokenizer : StepAudioTokenizer
    """

    def __init__(
        self,
        model_path: str,
        audio_tokenizer: Any,
        model_source: str = "auto",
        device_map: str = "cuda",
    ) -> None:
        self.audio_tokenizer = audio_tokenizer
        self.llm = torch.nn.Linear(1, LETTER).eval().to(device_map)

    def clone(self, prompt_wav_path: str, prompt_text: str, target_text: str) -> Any:
        """Say ``target_text``."""
        return self._hum([ord(sign) / 128 for sign in prompt_text[:1] + target_text])

    def edit(
        self,
        input_audio_path: str,
        audio_text: str,
        edit_type: str,
        edit_info: str | None = None,
        text: str | None = None,
    ) -> Any:
        """Hum for as long as the recording is."""
        length_s = self.audio_tokenizer.length_s(input_audio_path)
        return self._hum([len(edit_type) / 8] * max(1, round(length_s * RATE_HZ / LETTER)))

    def _hum(self, tones: list[float]) -> Any:
        with torch.no_grad():
            sound = self.llm(torch.tensor(tones)[:, None].to("cuda"))
        return 0.1 * sound.tanh().reshape(1, -1).cpu(), RATE_HZ
