"""Lets a child process read a mesh: whatever is in the file, this process stays as it is."""

from __future__ import annotations

import logging
import threading
from typing import IO, Any

from backend.errors import (
    EmptyFile,
    ExternalResource,
    InvalidParameter,
    MeshCorrupt,
    MeshkilnError,
    MeshTooLarge,
    StorageFull,
    UnsupportedExtension,
    UnsupportedMesh,
    UnusableMesh,
)
from backend.settings import Settings
from backend.web.judging_child import ChildAnswer, child_answer, place_in, run_child

MESHES_AT_A_TIME = 2
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
    with place_in(_room, settings.mesh_time_s, "meshes"):
        answer = child_answer(*_run(source, target, settings, face_ids))
    if answer.status < 0:
        raise _of_signal(answer, settings)
    if answer.status == 0 and "facts" in answer.told:
        facts: MeshFacts = answer.told["facts"]
        return facts
    raise answer.problem_of(_TOLD) or _unexplained(answer)


def _run(
    source: IO[bytes],
    target: IO[bytes] | None,
    settings: Settings,
    face_ids: IO[bytes] | None,
) -> tuple[bytes, int, bytes]:
    command = [
        "backend.meshes.reading",
        "--faces", str(settings.max_mesh_faces),
        "--memory-mb", str(settings.mesh_memory_mb),
        "--cpu-s", str(settings.mesh_time_s),
    ]  # fmt: skip
    given = {"--output": target, "--face-ids": face_ids}
    passed = {option: file for option, file in given.items() if file is not None}
    return run_child(command, source, passed, settings.mesh_time_s)


def _of_signal(answer: ChildAnswer, settings: Settings) -> MeshkilnError:
    if answer.ran_into_limits:
        return MeshTooLarge(
            f"Reading it takes more than {settings.mesh_time_s:g} seconds "
            f"or {settings.mesh_memory_mb:,} MB, and was ended."
        )
    log.warning("the child that read a mesh was ended by signal %s", -answer.status)
    return MeshCorrupt("The process that read it crashed over it.")


def _unexplained(answer: ChildAnswer) -> MeshkilnError:
    if "MemoryError" in answer.last_words:
        return MeshTooLarge("Reading it takes more memory than is allowed.")
    log.error("the child that read a mesh failed: %s", answer.last_words)
    return MeshCorrupt("It cannot be read.")
