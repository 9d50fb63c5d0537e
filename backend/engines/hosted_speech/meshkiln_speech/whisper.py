"""Writes down what is said in a recording, by a Whisper model that lies on the disk."""

from __future__ import annotations

from typing import Any

from .listening import Listener, host
from .sound import read_wav, resampled
from .traps import stay_offline

RATE_HZ = 16_000


def open_transcriber(model_folder: str) -> Transcriber:
    """Load the model into host memory; nothing is fetched, and no code of its folder is run."""
    stay_offline()
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(model_folder, local_files_only=True)
    on_gpu = host() is not None and host().device == "cuda"
    model = WhisperForConditionalGeneration.from_pretrained(
        model_folder,
        local_files_only=True,
        torch_dtype=torch.float16 if on_gpu else torch.float32,
    )
    model.train(False)
    return Transcriber(processor, model)


class Transcriber:
    """A model and what prepares its input.

    Parameters
    ----------
    processor : WhisperProcessor
    model : WhisperForConditionalGeneration
    """

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor = processor
        self._model = model
        self._listener = Listener([model])

    def transcribe(self, path: str) -> str:
        """Return the words of a WAV of one channel, at most 30 s of it.

        The words that are likeliest one by one are taken, so that the same recording gives the
        same words.
        """
        import torch

        self._listener.begin()
        samples, rate_hz = read_wav(path)
        inputs = self._processor(
            resampled(samples, rate_hz, RATE_HZ), sampling_rate=RATE_HZ, return_tensors="pt"
        )
        weights = next(self._model.parameters())
        features = inputs.input_features.to(weights.device, weights.dtype)
        with torch.no_grad():
            ids = self._model.generate(features, do_sample=False)
        words = self._processor.batch_decode(ids, skip_special_tokens=True)
        return str(words[0]).strip()
