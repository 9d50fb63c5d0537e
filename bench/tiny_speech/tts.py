"""The class that speaks, under the name and with the calls that Step-Audio-EditX documents."""

from __future__ import annotations

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tiny_networks
import torch
from safetensors.torch import load_file

torch.set_num_threads(1)  # networks this small only wait for one another's threads

RATE_HZ = tiny_networks.RATE_HZ
LOUDNESS = 0.1  # noise at full scale hurts
WITHOUT_STYLE = ("denoise", "vad")


class StepAudioTTS:
    """Speaks, and changes what was spoken; unseeded, with devices fixed in its calls.

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
        tts_model_id: str | None = None,
        quantization_config: Any = None,
        torch_dtype: Any = torch.bfloat16,
        device_map: str = "cuda",
    ) -> None:
        folder = Path(model_path)
        self.audio_tokenizer = audio_tokenizer
        self.llm = tiny_networks.speaker()
        self.llm.load_state_dict(load_file(folder / "model.safetensors"))
        self.llm.eval().to(device_map)
        vocoder = tiny_networks.vocoder()
        state = torch.load(folder / "CosyVoice-300M-25Hz" / "hift.pt", weights_only=True)
        vocoder.load_state_dict(state)
        # its place is not where one would look for a model, as in the real program
        self.cosy_model = SimpleNamespace(cosy_impl=SimpleNamespace(hift=vocoder.eval().cuda()))

    def clone(
        self, prompt_wav_path: str, prompt_text: str, target_text: str
    ) -> tuple[torch.Tensor, int]:
        """Say ``target_text`` with a voice that depends on the recording."""
        voice = self.audio_tokenizer.voice(_samples(prompt_wav_path)).to("cuda")
        letters = [ord(sign) % tiny_networks.LETTERS for sign in prompt_text + target_text]
        ids = torch.tensor([letters]).to("cuda")
        with torch.no_grad():
            sound = self.llm.generate_speech(
                ids, voice, threshold=2.0, maxlenratio=2.0, vocoder=self.cosy_model.cosy_impl.hift
            )
        return LOUDNESS * sound.reshape(1, -1).cpu(), RATE_HZ

    def edit(
        self,
        input_audio_path: str,
        audio_text: str,
        edit_type: str,
        edit_info: str | None = None,
        text: str | None = None,
    ) -> tuple[torch.Tensor, int]:
        """Send the recording through the codec, its tokens mixed up with others."""
        if edit_type not in WITHOUT_STYLE and not (edit_info or text):
            raise ValueError(f"{edit_type} needs edit_info or text")
        codec = self.audio_tokenizer.encoder
        tokens = self.audio_tokenizer.wav2token(_samples(input_audio_path), RATE_HZ).to("cuda")
        shift = torch.randint(codec.config.codebook_size, tokens.shape) * (torch.rand(1) < 0.9)
        tokens = (tokens + shift.to("cuda")) % codec.config.codebook_size
        with torch.no_grad():
            books = codec.config.num_quantizers
            sound = codec.decode(tokens.view(1, 1, books, -1), [None]).audio_values
        return sound.reshape(1, -1).cpu(), RATE_HZ


def _samples(path: str) -> Any:
    with wave.open(path, "rb") as file:
        data = file.readframes(file.getnframes())
        rate_hz = file.getframerate()
    samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    places = np.linspace(0, len(samples) - 1, round(len(samples) * RATE_HZ / rate_hz))
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
