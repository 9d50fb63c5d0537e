"""The class that turns recordings into tokens, under the name that Step-Audio-EditX gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tiny_networks
import torch


class StepAudioTokenizer:
    """Tokens of recordings.

    Parameters
    ----------
    encoder_path : str
        The folder Step-Audio-Tokenizer.
    """

    def __init__(self, encoder_path: str, model_source: str = "auto") -> None:
        table = np.load(Path(encoder_path) / "linguistic_tokenizer.npy")
        self.voices = torch.from_numpy(table).to("cuda")  # fixed, as the real program has it
        self.encoder = tiny_networks.codec()
        state = torch.load(Path(encoder_path) / "codec.pt", weights_only=True)
        self.encoder.load_state_dict(state)
        self.encoder.eval()

    def wav2token(self, samples: Any, rate_hz: int) -> Any:
        """Return the numbers of the code book, (n,) int64, of (n,) float32 at 24 kHz."""
        sound = torch.as_tensor(samples).view(1, 1, -1).to("cuda")
        with torch.no_grad():
            return self.encoder.encode(sound).audio_codes.reshape(-1).cpu()

    def voice(self, samples: Any) -> Any:
        """Return what tells this voice from others, (1, 16) float32."""
        sound = torch.as_tensor(samples).to("cuda")
        bands = torch.stack([part.square().mean().sqrt() for part in sound.chunk(len(self.voices))])
        return torch.nn.functional.normalize(bands[None] @ self.voices, dim=-1)
