"""Reads one recording in a process of its own: ``python -m backend.audio < upload``.

What is uploaded comes as standard input; the recording, written anew as WAV of one channel and
16 bits, goes to the file that is open as ``--output``; the answer in JSON to standard output:
``{"facts": …}``, or ``{"problem": {"code", "detail", "advice", "fields"}}`` with status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from backend.audio.audio_format import audio_format
from backend.child_answer import facts_or_problem
from backend.child_limits import limit_this_process, no_files_opened
from backend.errors import AudioTooLong
from backend.units import MB


def main(arguments: list[str]) -> int:
    """Read, check, write, answer."""
    options = _parser().parse_args(arguments)
    limit_this_process(options.memory_mb, options.cpu_s)
    data = sys.stdin.buffer.read(options.megabytes * MB + 1)
    answer = answer_for(data, options.seconds, options.megabytes, options.output, no_files_opened)
    sys.stdout.write(json.dumps(answer))
    return 0 if "facts" in answer else 1


def answer_for(
    data: bytes,
    seconds: float,
    megabytes: int,
    output: int | None,
    guard: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, Any]:
    """Read a file and write it anew; returns what is printed.

    Parameters
    ----------
    data : bytes
        What was uploaded.
    seconds, megabytes : float, int
        Most that is read.
    output : int or None
        Descriptor of the file that takes the WAV.
    guard : callable
        Makes what surrounds the reading.
    """
    return facts_or_problem(
        lambda: _facts(data, seconds, megabytes, output, guard), "the recording", AudioTooLong
    )


def _facts(
    data: bytes,
    seconds: float,
    megabytes: int,
    output: int | None,
    guard: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """Judge by the first bytes; numpy is loaded only for what may be a recording."""
    audio_format(data)
    import soundfile  # noqa: F401  loaded before files can no longer be opened

    from backend.audio.audio_limits import AudioLimits
    from backend.audio.recording import read_recording
    from backend.audio.sound_facts import sound_facts
    from backend.audio.wav_file import write_wav

    with guard():
        found = read_recording(data, AudioLimits(longest_s=seconds, most_bytes=megabytes * MB))
    if output is not None:
        write_wav(found.samples, found.rate_hz, Path(f"/proc/self/fd/{output}"))
    return {
        "format": found.format.value,
        "channels": found.channels,
        "clipped_share": round(found.clipped_share, 4),
        **sound_facts(found.samples, found.rate_hz),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend.audio")
    parser.add_argument("--output", type=int, help="descriptor of the file to write")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--cpu-s", type=float, default=20.0)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
