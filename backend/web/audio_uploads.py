"""Turns what was uploaded into the recording we keep: one WAV that our own child process wrote.

The original bytes are never stored and never served, and nothing that was written into them beside
the sound, such as names and places, stays.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from backend.errors import AudioTooLong, EmptyFile, MissingFile, StorageFull
from backend.settings import Settings
from backend.units import MB
from backend.web.audio_child import AudioFacts, hear_in_child
from backend.web.sent_file import SentFile
from backend.web.uploads import FALLBACK_NAME, display_name

FILE_NAME = "reference.wav"
NO_RECORDING = "Send the recording in the multipart field 'file', or as a data URI 'audio' in JSON."


class SentRecording(SentFile):
    """A recording as sent, not yet judged."""


@dataclass(frozen=True)
class NormalisedRecording:
    """The recording as kept: ``data`` under the name ``file_name``."""

    data: bytes
    display_name: str
    facts: AudioFacts
    file_name: str = FILE_NAME


def normalise_recording(sent: SentRecording, settings: Settings) -> NormalisedRecording:
    """Read an upload as a recording, in a child process.

    Parameters
    ----------
    sent : SentRecording
        WAV, FLAC, OGG or MP3.
    settings : Settings
        The limits.

    Raises
    ------
    EmptyFile, UnsupportedAudio, AudioCorrupt, AudioTooLong, AudioUnusable, QueueFull, StorageFull
    """
    folder = settings.data_dir / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            tempfile.TemporaryFile(dir=folder) as source,
            tempfile.TemporaryFile(dir=folder) as target,
        ):
            _check_size(sent.copy_to(source), settings.max_audio_mb)
            facts = hear_in_child(source, target, settings)
            target.seek(0)
            return NormalisedRecording(target.read(), _shown(sent.filename), facts)
    except OSError as error:
        raise StorageFull(f"The upload could not be stored: {error.strerror}") from error


def recording_input(path: Path, folder: Path, settings: Settings) -> Path:
    """Judge a recording on this machine and write what a pipeline is given into a folder.

    Raises
    ------
    BadInput, QueueFull, StorageFull
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error
    sent = SentRecording.of_bytes(path.name, data)
    kept = normalise_recording(sent, replace(settings, data_dir=folder))
    (folder / kept.file_name).write_bytes(kept.data)
    return folder / kept.file_name


def _check_size(size: int, limit_mb: int) -> None:
    if not size:
        raise EmptyFile
    if size > limit_mb * MB:
        raise AudioTooLong(
            f"The recording has {size / MB:,.0f} MB; at most {limit_mb:,} are taken."
        )


def _shown(filename: str | None) -> str:
    name = display_name(filename)
    return "recording" if name == FALLBACK_NAME else name
