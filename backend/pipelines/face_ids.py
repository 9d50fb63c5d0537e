"""Part numbers of faces that somebody sent along, as parts numbered from 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.meshes.reading.face_numbers import read_face_numbers
from backend.progress import StageProgress


def read_face_ids(path: Path, face_count: int, progress: StageProgress) -> NDArray[np.int32]:
    """Read the part of each face and number the parts from 0 without gaps, in rising order.

    Faces with a negative number belong to no part; they become the last one.

    Parameters
    ----------
    face_count : int
        Faces of the mesh.

    Returns
    -------
    (face_count,) int32

    Raises
    ------
    InvalidParameter
        Not such a file, of another length, or of too many parts.
    """
    with path.open("rb") as file:
        given = read_face_numbers(file, face_count)
    loose = given < 0
    values, parts = np.unique(np.where(loose, -1, given), return_inverse=True)
    parts = parts.reshape(-1)
    if loose.any():
        parts = np.where(loose, len(values) - 1, parts - 1)
        progress.warn(f"{int(loose.sum())} faces belonged to no part; they became the last part.")
    return np.asarray(parts, dtype=np.int32)
