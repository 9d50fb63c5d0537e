"""Sounds as numbers: read, written, brought to another rate, and taken from what a program gave."""

from __future__ import annotations

import wave
from typing import Any

FULL_SCALE = 32767


def read_wav(path: str) -> tuple[Any, int]:
    """Read a WAV of one channel and 16 bits, as the server writes it.

    Returns
    -------
    (n,) float32, int
        From -1 to 1, and samples per second.
    """
    import numpy as np

    with wave.open(path, "rb") as file:
        data = file.readframes(file.getnframes())
        rate_hz = file.getframerate()
    return np.frombuffer(data, "<i2").astype(np.float32) / FULL_SCALE, rate_hz


def write_wav(samples: Any, rate_hz: int, path: str) -> None:
    """Write (n,) float32 as WAV of one channel and 16 bits."""
    import numpy as np

    scaled = np.round(np.clip(samples, -1.0, 1.0) * FULL_SCALE).astype(np.int16)
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(scaled.tobytes())


def resampled(samples: Any, from_hz: int, to_hz: int) -> Any:
    """Bring (n,) float32 to another rate: its spectrum is cut off, or continued with nothing."""
    import numpy as np

    if from_hz == to_hz:
        return samples
    wanted = max(1, round(len(samples) * to_hz / from_hz))
    spectrum = np.fft.rfft(samples)
    other = np.zeros(wanted // 2 + 1, dtype=spectrum.dtype)
    kept = min(len(spectrum), len(other))
    other[:kept] = spectrum[:kept]
    return (np.fft.irfft(other, wanted) * (wanted / len(samples))).astype(np.float32)


def as_samples(sound: Any) -> Any:
    """Turn what a program returned, tensor or array, into (n,) float32 in host memory.

    Raises
    ------
    ValueError
        It is no sound of one channel.
    """
    import numpy as np

    if hasattr(sound, "detach"):
        sound = sound.detach().to("cpu").float().numpy()
    samples = np.asarray(sound, dtype=np.float32)
    if samples.ndim > 1 and max(samples.shape) != samples.size:
        raise ValueError(f"the program returned a sound of shape {samples.shape}, not one channel")
    return np.ascontiguousarray(samples.reshape(-1))
