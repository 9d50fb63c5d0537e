"""The one format that is kept and given out: WAV of one channel, 16 bits."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from backend.audio.audio_limits import AudioLimits
from backend.audio.recording import Recording, Samples, read_recording

FULL_SCALE = 32767
WHATEVER = AudioLimits(
    longest_s=86_400.0,
    shortest_s=0.0,
    most_bytes=1 << 40,
    lowest_hz=1,
    highest_hz=1 << 31,
    quietest=0.0,
)


def write_wav(samples: Samples, rate_hz: int, path: Path) -> None:
    """Write a sound; what is louder than full scale is cut off there.

    Parameters
    ----------
    samples : (n,) float32
        Of one channel, -1 to 1.
    """
    scaled = np.round(np.clip(samples, -1.0, 1.0) * np.float32(FULL_SCALE)).astype(np.int16)
    with path.open("wb") as stream, wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(scaled.tobytes())


def read_wav(path: Path) -> Recording:
    """Read a file that ``write_wav`` wrote, whatever is in it; raises AudioCorrupt."""
    return read_recording(path.read_bytes(), WHATEVER)
