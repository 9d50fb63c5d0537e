"""Have the voice of a recording say each line of a text file, one WAV per line.

    python examples/speak_lines.py voice.wav "What is said in it." lines.txt spoken/
    python examples/speak_lines.py voice.wav "…" lines.txt spoken/ --server https://host --seed 7

Needs only ``requests``. A key, where the server asks for one, is read from MESHKILN_KEY. Lines that
were spoken before are not sent again: delete a file to have its line spoken anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

import requests

POLL_S = 0.5


class Voice:
    """A voice on a running server.

    Parameters
    ----------
    server : str
        Its address.
    recording : Path
        One voice, at most 30 seconds.
    transcript : str
        What is said in it; empty where the server writes it down.
    key : str, optional
        An API key.
    """

    def __init__(
        self, server: str, recording: Path, transcript: str, key: str | None = None
    ) -> None:
        self._server = server.rstrip("/")
        self._recording, self._transcript = recording, transcript
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def say(self, text: str, seed: int) -> bytes:
        """Return a WAV of the text.

        Raises
        ------
        RuntimeError
            What went wrong, and what helps.
        requests.RequestException
            The server cannot be reached.
        """
        fields = {"pipeline": "speech", "task": "clone", "text": text, "seed": str(seed)}
        job = self._answer(
            self._session.post(
                f"{self._server}/api/v1/jobs",
                data=fields | {"transcript": self._transcript},
                files={"file": (self._recording.name, self._recording.read_bytes())},
                timeout=60,
            )
        )
        while not job["finished_at"]:
            time.sleep(POLL_S)
            address = self._server + job["links"]["self"]
            job = self._answer(self._session.get(address, timeout=10))
        if job["error"]:
            raise RuntimeError(_words(job["error"]))
        urls = [output["url"] for output in job["outputs"] if output["role"] == "speech"]
        if not urls:
            raise RuntimeError(f"Its job ended without a recording: it is {job['status']}.")
        sound = self._session.get(self._server + urls[0], timeout=60)
        sound.raise_for_status()
        return sound.content

    def _answer(self, response: requests.Response) -> dict[str, Any]:
        answer = cast("dict[str, Any]", response.json())
        if response.ok:
            return answer
        raise RuntimeError(_words(answer))


def _words(problem: dict[str, Any]) -> str:
    title, detail = problem["title"], problem["detail"]
    words = f"{title}." if detail == title else f"{title}: {detail}"
    return f"{words} {problem.get('advice', '')}".rstrip()


def main(arguments: list[str]) -> int:
    """Speak line by line; returns 1 when a line could not be spoken."""
    options = _parser().parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    key = os.environ.get("MESHKILN_KEY")
    voice = Voice(options.server, options.recording, options.transcript, key)
    lines = [line.strip() for line in options.lines.read_text(encoding="utf-8").splitlines()]
    failed = 0
    for number, line in enumerate((line for line in lines if line), 1):
        target = options.folder / f"{number:03}.wav"
        if target.exists():
            continue
        try:
            target.write_bytes(voice.say(line, options.seed))
            print(f"{target}: {line}")
        except (RuntimeError, requests.RequestException) as error:
            failed += 1
            print(f"{target} is missing. {error}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Have a voice say each line of a text file.")
    parser.add_argument("recording", type=Path, help="one voice, at most 30 seconds")
    parser.add_argument("transcript", help="what is said in it; '' where the server writes it down")
    parser.add_argument("lines", type=Path, help="text file")
    parser.add_argument("folder", type=Path, help="takes 001.wav, 002.wav, …")
    parser.add_argument("--server", default="http://127.0.0.1:7860")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same recordings")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
