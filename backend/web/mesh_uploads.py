"""Turns what was uploaded into the mesh we keep: one GLB that our own child process wrote.

The original bytes are never stored and never served. Here they are only copied: what they are is
judged in a process that has little memory, little time, and nothing to lose.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from backend.errors import EmptyFile, StorageFull, UploadTooLarge
from backend.settings import Settings
from backend.units import MB
from backend.web.mesh_child import MeshFacts, read_in_child
from backend.web.sent_file import SentFile
from backend.web.uploads import FALLBACK_NAME, display_name

FILE_NAME = "mesh.glb"
FACE_IDS_NAME = "face_ids.npy"


class SentMesh(SentFile):
    """A mesh as sent, not yet judged."""


@dataclass(frozen=True)
class NormalisedMesh:
    """The mesh as kept: ``data`` under the name ``file_name``."""

    data: bytes
    display_name: str
    facts: MeshFacts
    file_name: str = FILE_NAME


def normalise_mesh(
    sent: SentMesh, settings: Settings, face_ids: bytes | None = None
) -> NormalisedMesh:
    """Read an upload as a mesh, in a child process.

    Parameters
    ----------
    sent : SentMesh
        GLB, glTF, OBJ, PLY or STL.
    settings : Settings
        The limits.
    face_ids : bytes, optional
        A NumPy file with the part number of each face; the child checks that it fits the mesh.

    Raises
    ------
    EmptyFile, UnsupportedMesh, MeshCorrupt, UnusableMesh, MeshTooLarge, ExternalResource,
    UnsupportedExtension, InvalidParameter, UploadTooLarge, QueueFull, StorageFull
    """
    folder = settings.data_dir / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as files:
            source, target, numbers = (
                files.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(3)
            )
            _copy(sent, source, settings.max_mesh_mb)
            numbers.write(face_ids or b"")
            numbers.flush()
            given = None if face_ids is None else numbers
            facts = read_in_child(source, target, settings, given)
            target.seek(0)
            return NormalisedMesh(target.read(), _shown(sent.filename), facts)
    except OSError as error:
        raise StorageFull(f"The upload could not be stored: {error.strerror}") from error


def _copy(sent: SentMesh, source: IO[bytes], limit_mb: int) -> None:
    """Copy the upload into a file that a child can be given."""
    size = sent.copy_to(source)
    if not size:
        raise EmptyFile
    if size > limit_mb * MB:
        raise UploadTooLarge(f"The mesh has {size / MB:,.0f} MB; at most {limit_mb:,} are taken.")


def _shown(filename: str | None) -> str:
    name = display_name(filename)
    return "mesh" if name == FALLBACK_NAME else name
