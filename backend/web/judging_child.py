"""Lets a child process judge an upload: whatever is in the file, this process stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backend.errors import FieldProblem, MeshkilnError, QueueFull

SIGNALS_OF_LIMITS = (-9, -24)  # killed by the system for memory or time; SIGXCPU
RETRY_AFTER_S = 30
_TAIL_BYTES = 2000
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ChildAnswer:
    """What a child said and how it ended.

    Parameters
    ----------
    told : dict
        The JSON object it wrote; empty where there is none.
    status : int
        Its exit status; below 0 the signal that ended it.
    last_words : str
        The end of its standard error.
    """

    told: dict[str, Any]
    status: int
    last_words: str

    @property
    def ran_into_limits(self) -> bool:
        """Whether it was ended for what it took of time or memory."""
        return self.status in SIGNALS_OF_LIMITS

    def problem_of(self, kinds: Mapping[str, type[MeshkilnError]]) -> MeshkilnError | None:
        """Make the error again that the child told of, if it is one of ``kinds`` by code."""
        problem = self.told.get("problem", {})
        kind = kinds.get(problem.get("code", ""))
        if kind is None:
            return None
        detail = problem["detail"]
        fields = tuple(FieldProblem(pointer, detail) for pointer in problem.get("fields", ()))
        return kind(detail, advice=problem.get("advice"), fields=fields)


def run_child(
    command: Sequence[str], source: IO[bytes], passed: Mapping[str, IO[bytes]], time_s: float
) -> tuple[bytes, int, bytes]:
    """Run a module of ours to its end; one that takes too long is killed.

    Parameters
    ----------
    command : sequence of str
        Name of the module, and its options.
    source : file
        A real file, all of which is the child's standard input.
    passed : mapping of str to file
        Real files that the child is given, open at their beginning, by the option that tells
        their descriptor.

    Returns
    -------
    tuple
        Standard output, exit status, standard error.
    """
    line = [sys.executable, "-m", *command]
    for option, file in passed.items():
        line += [option, str(file.fileno())]
    for file in (source, *passed.values()):
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    with subprocess.Popen(
        line, stdin=source.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=[file.fileno() for file in passed.values()], cwd=_ROOT, env=_environment(),
        start_new_session=True,
    ) as child:  # fmt: skip
        try:
            answer, errors = child.communicate(timeout=time_s)
        except subprocess.TimeoutExpired:
            child.kill()
            answer, errors = child.communicate()
        except BaseException:
            child.kill()
            raise
    return answer, child.returncode, errors


def child_answer(answer: bytes, status: int, errors: bytes) -> ChildAnswer:
    """Read what a child wrote."""
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    words = errors[-_TAIL_BYTES:].decode("utf-8", "replace")
    return ChildAnswer(told if isinstance(told, dict) else {}, status, words)


@contextmanager
def place_in(room: threading.BoundedSemaphore, wait_s: float, what: str) -> Iterator[None]:
    """Wait for one of a few places, so that many uploads do not take all memory.

    Parameters
    ----------
    what : str
        Names the uploads that take them, as in "meshes".

    Raises
    ------
    QueueFull
    """
    if not room.acquire(timeout=wait_s):
        raise QueueFull(
            f"Too many {what} are being read at this moment.",
            advice="Send it again in a minute.",
            retry_after_s=RETRY_AFTER_S,
        )
    try:
        yield
    finally:
        room.release()


def _environment() -> dict[str, str]:
    """Give the child none of our variables: they hold addresses and passwords."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # each thread takes address space
    return dict.fromkeys(threads, "1") | {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}
