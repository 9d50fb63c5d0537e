"""The class that reads recordings, under the name that Step-Audio-EditX gives it."""

from __future__ import annotations

import wave
from pathlib import Path


class StepAudioTokenizer:
    """Says how long a recording is.

    Parameters
    ----------
    encoder_path : str
        The folder Step-Audio-Tokenizer.
    """

    def __init__(self, encoder_path: str, model_source: str = "auto") -> None:
        assert (Path(encoder_path) / "linguistic_tokenizer.npy").is_file()

    def length_s(self, path: str) -> float:
        """Return the length of a recording in seconds."""
        with wave.open(path, "rb") as file:
            return file.getnframes() / file.getframerate()
