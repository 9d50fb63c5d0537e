"""Lets a child process read a recording: whatever is in the file, this process stays as it is."""

from __future__ import annotations

import logging
import threading
from typing import IO, Any

from backend.errors import (
    AudioCorrupt,
    AudioTooLong,
    AudioUnusable,
    EmptyFile,
    MeshkilnError,
    StorageFull,
    UnsupportedAudio,
)
from backend.settings import Settings
from backend.web.judging_child import ChildAnswer, child_answer, place_in, run_child

RECORDINGS_AT_A_TIME = 2
READ_TIME_S = 20.0
READ_MEMORY_MB = 1024
_TOLD: dict[str, type[MeshkilnError]] = {
    kind.code: kind
    for kind in (
        AudioCorrupt, AudioTooLong, AudioUnusable, EmptyFile, StorageFull, UnsupportedAudio,
    )
}  # fmt: skip
_room = threading.BoundedSemaphore(RECORDINGS_AT_A_TIME)

log = logging.getLogger(__name__)

AudioFacts = dict[str, Any]


def hear_in_child(source: IO[bytes], target: IO[bytes], settings: Settings) -> AudioFacts:
    """Read a recording of any format, check it, and write it anew as mono WAV of 16 bits.

    Parameters
    ----------
    source : file
        What was sent: a real file, of which all is read.
    target : file
        A real file, open for writing, that takes the WAV.
    settings : Settings
        ``max_audio_mb``, ``max_audio_s``.

    Returns
    -------
    dict
        Format, length and waveform; see ``backend.audio.sound_facts``.

    Raises
    ------
    EmptyFile, UnsupportedAudio, AudioCorrupt, AudioTooLong, AudioUnusable
        What the child says of the file.
    StorageFull
        The WAV could not be written.
    QueueFull
        Too many recordings are being read.
    """
    with place_in(_room, READ_TIME_S, "recordings"):
        answer = child_answer(*_run(source, target, settings))
    if answer.status < 0:
        raise _of_signal(answer)
    if answer.status == 0 and "facts" in answer.told:
        facts: AudioFacts = answer.told["facts"]
        return facts
    raise answer.problem_of(_TOLD) or _unexplained(answer)


def _run(source: IO[bytes], target: IO[bytes], settings: Settings) -> tuple[bytes, int, bytes]:
    command = [
        "backend.audio",
        "--seconds", str(settings.max_audio_s),
        "--megabytes", str(settings.max_audio_mb),
        "--memory-mb", str(READ_MEMORY_MB),
        "--cpu-s", str(READ_TIME_S),
    ]  # fmt: skip
    return run_child(command, source, {"--output": target}, READ_TIME_S)


def _of_signal(answer: ChildAnswer) -> MeshkilnError:
    if answer.ran_into_limits:
        return AudioTooLong(
            f"Reading it takes more than {READ_TIME_S:g} seconds or {READ_MEMORY_MB:,} MB, "
            "and was ended."
        )
    log.warning("the child that read a recording was ended by signal %s", -answer.status)
    return AudioCorrupt("The process that read it crashed over it.")


def _unexplained(answer: ChildAnswer) -> MeshkilnError:
    if "MemoryError" in answer.last_words:
        return AudioTooLong("Reading it takes more memory than is allowed.")
    log.error("the child that read a recording failed: %s", answer.last_words)
    return AudioCorrupt("It cannot be read.")
