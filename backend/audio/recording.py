"""Reads a recording of any format we take, and checks it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.audio.audio_format import AudioFormat, audio_format
from backend.audio.audio_limits import AudioLimits
from backend.errors import AudioCorrupt, AudioTooLong, AudioUnusable

if TYPE_CHECKING:
    import soundfile

Samples = npt.NDArray[np.float32]

_KINDS = {
    "WAV": AudioFormat.WAV,
    "WAVEX": AudioFormat.WAV,
    "FLAC": AudioFormat.FLAC,
    "OGG": AudioFormat.OGG,
    "MP3": AudioFormat.MP3,
}
# What writes a WAV to a pipe cannot go back to fill in its size: such numbers stand for unknown.
UNKNOWN_SIZE = 0x7FFF0000
# Where the channels of a recording cancel each other out, their mean is all but silent.
CANCELED_SHARE = 0.1


@dataclass(frozen=True)
class Recording:
    """A recording as one channel.

    Parameters
    ----------
    samples : (n,) float32
        From -1 to 1.
    rate_hz : int
        Samples per second.
    format : AudioFormat
        What it came as.
    channels : int
        How many it had.
    clipped_share : float
        Share of samples at full scale, 0 to 1.
    """

    samples: Samples
    rate_hz: int
    format: AudioFormat
    channels: int
    clipped_share: float

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate_hz


def read_recording(data: bytes, limits: AudioLimits | None = None) -> Recording:
    """Read a recording, mix it to one channel, and check it.

    Parameters
    ----------
    data : bytes
        WAV of 8 to 32 bits or of floating-point numbers, FLAC, OGG or MP3.
    limits : AudioLimits, optional
        How much is read.

    Raises
    ------
    EmptyFile, UnsupportedAudio, AudioCorrupt, AudioTooLong, AudioUnusable
    """
    import soundfile

    limits = limits or AudioLimits()
    kind = audio_format(data)
    if len(data) > limits.most_bytes:
        raise AudioTooLong(
            f"The file has {len(data):,} bytes; at most {limits.most_bytes:,} are read.",
            advice="Save it as FLAC or OGG, or cut it.",
        )
    if kind is AudioFormat.WAV and _is_cut_off(data):
        raise AudioCorrupt("It ends earlier than it says.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            channels = _read(file, kind, limits)
            return _checked(channels, file.samplerate, kind, limits)
    except soundfile.LibsndfileError as error:
        raise AudioCorrupt(f"It cannot be read as {kind.upper()}.") from error
    except MemoryError as error:
        raise AudioTooLong("Reading it takes more memory than is allowed.") from error


def _is_cut_off(data: bytes) -> bool:
    """Whether a WAV says it is longer than it is; what is written to a pipe says nothing."""
    told = int.from_bytes(data[4:8], "little")
    return len(data) - 8 < told < UNKNOWN_SIZE


def _read(file: soundfile.SoundFile, kind: AudioFormat, limits: AudioLimits) -> Samples:
    """Read all there is, at most a little more than the limit.

    Returns
    -------
    (n, channels) float32
    """
    if _KINDS.get(file.format) is not kind:
        raise AudioCorrupt(f"It begins as {kind.upper()} and goes on as something else.")
    if not limits.lowest_hz <= file.samplerate <= limits.highest_hz:
        raise AudioUnusable(
            f"It has {file.samplerate:,} samples per second; {limits.lowest_hz:,} to "
            f"{limits.highest_hz:,} are read."
        )
    if file.channels > limits.channels:
        raise AudioUnusable(f"It has {file.channels} channels; at most {limits.channels} are read.")
    most = round(limits.longest_s * file.samplerate)
    read: Samples = file.read(most + 1, dtype="float32", always_2d=True)
    if len(read) > most:
        told = max(len(read), file.frames) / file.samplerate
        raise AudioTooLong(
            f"It takes {told:,.1f} seconds; at most {limits.longest_s:g} are read.",
            advice=f"Cut it to at most {limits.longest_s:g} seconds; "
            "5 to 15 seconds of one voice are best.",
        )
    if len(read) < file.frames:
        raise AudioCorrupt("It ends earlier than it says.")
    return read


def _checked(channels: Samples, rate_hz: int, kind: AudioFormat, limits: AudioLimits) -> Recording:
    seconds = len(channels) / rate_hz
    if seconds < limits.shortest_s:
        raise AudioUnusable(
            f"It takes {seconds:.2f} seconds; it has to take at least {limits.shortest_s:g}."
        )
    if not np.isfinite(channels).all():
        raise AudioUnusable("It holds values that are no numbers.")
    clipped = float((np.abs(channels) >= 1.0 - 1.0 / 32768).mean())
    samples = _one_channel(channels)
    if loudness(samples) < limits.quietest:
        raise AudioUnusable("There is nothing to be heard in it.")
    peak = float(np.abs(samples).max())
    if peak > 1.0:  # floating-point files may be louder than full scale
        samples = samples / np.float32(peak)
    return Recording(samples, rate_hz, kind, channels.shape[1], clipped)


def loudness(samples: Samples) -> float:
    """Root of the mean square around the mean, so that a constant is silence; 1 is full scale."""
    return float(np.std(samples, dtype=np.float64)) if len(samples) else 0.0


def _one_channel(channels: Samples) -> Samples:
    """Mix all channels; where they cancel each other out, take the loudest."""
    if channels.shape[1] == 1:
        return np.ascontiguousarray(channels[:, 0])
    mixed: Samples = channels.mean(axis=1, dtype=np.float64).astype(np.float32)
    loud = [loudness(one) for one in channels.T]
    if loudness(mixed) < CANCELED_SHARE * max(loud):
        return np.ascontiguousarray(channels[:, int(np.argmax(loud))])
    return mixed
