"""Part numbers of faces that somebody sent along, as a NumPy file.

Source: NumPy's format description, ``numpy.lib.format``, versions 1.0 and 2.0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from backend.catalog import MAX_PARTS
from backend.errors import FieldProblem, InvalidParameter
from backend.progress import StageProgress

SIGNATURE = b"\x93NUMPY"
MAX_HEADER = 10_000
_TYPE = re.compile(r"'descr': *'([^']{1,20})'")
_SHAPE = re.compile(r"'shape': *(\([0-9, ]{0,60}\))")
_WHOLE = re.compile(r"[<>|=][iu][1248]")
ADVICE = "Send numpy.save of whole numbers, one per face: shape (faces,), type int32."


def read_face_ids(path: Path, face_count: int, progress: StageProgress) -> NDArray[np.int32]:
    """Read the part of each face and number the parts from 0 without gaps, in rising order.

    Faces with a negative number belong to no part; they become the last one. Nothing is
    unpickled, and nothing is allocated before the header has been found to fit the mesh.

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
    given = _read_numbers(path, face_count)
    loose = given < 0
    values, parts = np.unique(np.where(loose, -1, given.astype(np.int64)), return_inverse=True)
    parts = parts.reshape(-1)
    if loose.any():
        parts = np.where(loose, len(values) - 1, parts - 1)
        progress.warn(f"{int(loose.sum())} faces belonged to no part; they became the last part.")
    if len(values) > MAX_PARTS:
        raise _refused(f"There are {len(values)} part numbers, more than {MAX_PARTS}.")
    return np.asarray(parts, dtype=np.int32)


def _read_numbers(path: Path, face_count: int) -> NDArray[np.integer]:
    with path.open("rb") as file:
        kind = _checked_type(_header(file), face_count)
        wanted = face_count * kind.itemsize
        data = file.read(wanted)
    if len(data) < wanted:
        raise _refused("The part numbers end before the last face.")
    numbers: NDArray[np.integer] = np.frombuffer(data, dtype=kind)
    return numbers


def _header(file: BinaryIO) -> str:
    """Read the header; NumPy itself would evaluate it as Python."""
    start = file.read(len(SIGNATURE) + 2)
    size_bytes = {b"\x01\x00": 2, b"\x02\x00": 4}.get(start[len(SIGNATURE) :])
    if not start.startswith(SIGNATURE) or size_bytes is None:
        raise _refused("The part numbers are not a NumPy file of version 1 or 2.")
    length = int.from_bytes(file.read(size_bytes), "little")
    if not 0 < length <= MAX_HEADER:
        raise _refused("The header of the part numbers is damaged.")
    return file.read(length).decode("latin-1")


def _checked_type(header: str, face_count: int) -> np.dtype[np.integer]:
    kind, shape = _TYPE.search(header), _SHAPE.search(header)
    if kind is None or shape is None:
        raise _refused("The part numbers have no type and shape of a plain array.")
    if not _WHOLE.fullmatch(kind[1]):
        raise _refused(f"The part numbers are of type {kind[1]!r}, not whole numbers.")
    if shape[1].replace(" ", "") != f"({face_count},)":
        raise _refused(
            f"The part numbers have the shape {shape[1]}; the mesh has {face_count} faces."
        )
    return np.dtype(kind[1])


def _refused(detail: str) -> InvalidParameter:
    problem = FieldProblem("/face_ids", detail)
    return InvalidParameter(detail, advice=ADVICE, fields=(problem,))
