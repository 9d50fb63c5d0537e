"""Lets a child process read a mesh: whatever is in the file, this process stays as it is."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from backend.errors import (
    EmptyFile,
    ExternalResource,
    FieldProblem,
    InvalidParameter,
    MeshCorrupt,
    MeshkilnError,
    MeshTooLarge,
    QueueFull,
    StorageFull,
    UnsupportedExtension,
    UnsupportedMesh,
    UnusableMesh,
)
from backend.settings import Settings

SIGNALS_OF_LIMITS = (-9, -24)  # killed by the system for memory or time; SIGXCPU
MESHES_AT_A_TIME = 2
RETRY_AFTER_S = 30
_TAIL_BYTES = 2000
_ROOT = Path(__file__).parents[2]
_TOLD: dict[str, type[MeshkilnError]] = {
    kind.code: kind
    for kind in (
        EmptyFile, ExternalResource, InvalidParameter, MeshCorrupt, MeshTooLarge, StorageFull,
        UnsupportedExtension, UnsupportedMesh, UnusableMesh,
    )
}  # fmt: skip
_room = threading.BoundedSemaphore(MESHES_AT_A_TIME)

log = logging.getLogger(__name__)

MeshFacts = dict[str, Any]


def read_in_child(
    source: IO[bytes],
    target: IO[bytes] | None,
    settings: Settings,
    face_ids: IO[bytes] | None = None,
) -> MeshFacts:
    """Read a mesh of any format, check it, and write it anew as GLB.

    Parameters
    ----------
    source : file
        What was sent: a real file, of which all is read.
    target : file or None
        A real file, open for writing, that takes the GLB.
    settings : Settings
        ``max_mesh_faces``, ``mesh_memory_mb``, ``mesh_time_s``.
    face_ids : file, optional
        A real file with the part number of each face, which have to fit the mesh.

    Returns
    -------
    dict
        Format, counts and extents; see ``backend.meshes.reading.mesh_facts``.

    Raises
    ------
    EmptyFile, UnsupportedMesh, MeshCorrupt, UnusableMesh, MeshTooLarge, ExternalResource,
    UnsupportedExtension
        What the child says of the file.
    InvalidParameter
        What it says of the part numbers.
    StorageFull
        The GLB could not be written.
    QueueFull
        Too many meshes are being read.
    """
    with _place_to_read(settings.mesh_time_s):
        answer, status, errors = _run(source, target, settings, face_ids)
    if status < 0:
        raise _of_signal(status, settings)
    told = _parsed(answer)
    if status == 0 and "facts" in told:
        facts: MeshFacts = told["facts"]
        return facts
    raise _of_problem(told.get("problem", {}), errors)


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _run(
    source: IO[bytes],
    target: IO[bytes] | None,
    settings: Settings,
    face_ids: IO[bytes] | None,
) -> tuple[bytes, int, bytes]:
    """Run the child to its end; one that takes too long is killed."""
    command = [
        sys.executable, "-m", "backend.meshes.reading",
        "--faces", str(settings.max_mesh_faces),
        "--memory-mb", str(settings.mesh_memory_mb),
        "--cpu-s", str(settings.mesh_time_s),
    ]  # fmt: skip
    passed = []
    for option, file in (("--output", target), ("--face-ids", face_ids)):
        if file is not None:
            passed.append(file.fileno())
            command += [option, str(file.fileno())]
            os.lseek(file.fileno(), 0, os.SEEK_SET)
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    with subprocess.Popen(
        command, stdin=source.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=passed, cwd=_ROOT, env=_environment(), start_new_session=True,
    ) as child:  # fmt: skip
        try:
            answer, errors = child.communicate(timeout=settings.mesh_time_s)
        except subprocess.TimeoutExpired:
            child.kill()
            answer, errors = child.communicate()
        except BaseException:
            child.kill()
            raise
    return answer, child.returncode, errors


def _environment() -> dict[str, str]:
    """Give the child none of our variables: they hold addresses and passwords."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # each thread takes address space
    return dict.fromkeys(threads, "1") | {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}


@contextmanager
def _place_to_read(wait_s: float) -> Iterator[None]:
    """Wait for one of a few places, so that many uploads do not take all memory."""
    if not _room.acquire(timeout=wait_s):
        raise QueueFull(
            "Too many meshes are being read at this moment.",
            advice="Send it again in a minute.",
            retry_after_s=RETRY_AFTER_S,
        )
    try:
        yield
    finally:
        _room.release()


def _of_signal(status: int, settings: Settings) -> MeshkilnError:
    if status in SIGNALS_OF_LIMITS:
        return MeshTooLarge(
            f"Reading it takes more than {settings.mesh_time_s:g} seconds "
            f"or {settings.mesh_memory_mb:,} MB, and was ended."
        )
    log.warning("the child that read a mesh was ended by signal %s", -status)
    return MeshCorrupt("The process that read it crashed over it.")


def _of_problem(problem: dict[str, Any], errors: bytes) -> MeshkilnError:
    kind = _TOLD.get(problem.get("code", ""))
    if kind is not None:
        detail = problem["detail"]
        fields = tuple(FieldProblem(pointer, detail) for pointer in problem["fields"])
        return kind(detail, advice=problem["advice"], fields=fields)
    tail = errors[-_TAIL_BYTES:].decode("utf-8", "replace")
    if "MemoryError" in tail:
        return MeshTooLarge("Reading it takes more memory than is allowed.")
    log.error("the child that read a mesh failed: %s", tail)
    return MeshCorrupt("It cannot be read.")
