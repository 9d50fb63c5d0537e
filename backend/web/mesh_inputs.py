"""A mesh and what is sent along with it, as the files that a pipeline is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backend.errors import MissingFile
from backend.settings import Settings
from backend.web.mesh_uploads import FACE_IDS_NAME, NormalisedMesh, SentMesh, normalise_mesh
from backend.web.part_boxes import FILE_NAME as BOXES_NAME
from backend.web.part_boxes import normalised_boxes


def files_of_mesh(
    sent: SentMesh, settings: Settings, face_ids: bytes | None = None, boxes: bytes | None = None
) -> tuple[NormalisedMesh, dict[str, bytes]]:
    """Judge a mesh and what was sent with it.

    Parameters
    ----------
    face_ids : bytes, optional
        A NumPy file with the part number of each face.
    boxes : bytes, optional
        JSON with the boxes of the parts.

    Returns
    -------
    NormalisedMesh
    dict of str to bytes
        What is kept, by file name.

    Raises
    ------
    BadInput, QueueFull, StorageFull
    """
    mesh = normalise_mesh(sent, settings, face_ids)
    files = {mesh.file_name: mesh.data}
    if face_ids is not None:
        files[FACE_IDS_NAME] = face_ids
    if boxes is not None:
        files[BOXES_NAME] = normalised_boxes(boxes, mesh.facts["bounds"])
    return mesh, files


def inputs_of_mesh(
    path: Path,
    folder: Path,
    settings: Settings,
    face_ids: bytes | None = None,
    boxes: bytes | None = None,
) -> dict[str, Path]:
    """Judge a mesh on this machine and write what a pipeline is given into a folder.

    Returns
    -------
    dict of str to Path
        By role: ``mesh``, and ``face_ids`` and ``boxes`` where they are given.

    Raises
    ------
    BadInput, QueueFull, StorageFull
    """
    try:
        with path.open("rb") as file:
            sent = SentMesh(path.name, file)
            here = replace(settings, data_dir=folder)
            _, files = files_of_mesh(sent, here, face_ids, boxes)
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name.partition(".")[0]: folder / name for name in files}
