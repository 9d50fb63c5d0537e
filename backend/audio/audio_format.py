"""What kind of recording a file is, by its first bytes."""

from __future__ import annotations

from enum import StrEnum

from backend.errors import EmptyFile, UnsupportedAudio


class AudioFormat(StrEnum):
    """Kinds of recordings that are read."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"


_REFUSED = (
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"RIFX", "a WAV file in the byte order of old machines"),
    (0, b"RF64", "a WAV file made for more than 4 GB"),
    (0, b"glTF", "a mesh"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
)


def audio_format(data: bytes) -> AudioFormat:
    """Tell the format of a recording.

    Parameters
    ----------
    data : bytes
        The file, or its first 16 bytes at least.

    Raises
    ------
    EmptyFile, UnsupportedAudio

    Examples
    --------
    >>> audio_format(b"fLaC" + bytes(12))
    <AudioFormat.FLAC: 'flac'>
    """
    if not data:
        raise EmptyFile
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return AudioFormat.WAV
    for start, kind in ((b"fLaC", AudioFormat.FLAC), (b"OggS", AudioFormat.OGG)):
        if data.startswith(start):
            return kind
    for offset, mark, words in _REFUSED:
        if data[offset : offset + len(mark)] == mark:
            raise UnsupportedAudio(f"This is {words}.")
    if data.startswith(b"ID3") or _is_frame(data):
        return AudioFormat.MP3
    raise UnsupportedAudio


def _is_frame(data: bytes) -> bool:
    """Whether a frame of MPEG audio begins here: sync, a known layer, bit rate and rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    return version != 1 and layer != 0 and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3
