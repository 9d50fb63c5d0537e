"""Reads one whole number per face that somebody sent along, as a NumPy file.

Source: NumPy's format description, ``numpy.lib.format``, versions 1.0 and 2.0.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from backend.catalog import MAX_PARTS
from backend.errors import FieldProblem, InvalidParameter

SIGNATURE = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
_TYPE = re.compile(r"'descr': *'([^']{1,20})'")
_SHAPE = re.compile(r"'shape': *(\([0-9, ]{0,60}\))")
_WHOLE = re.compile(r"[<>|=][iu][1248]")
_RANGE = np.iinfo(np.int32)
_ADVICE = (
    "Send the face_ids.npy that was made from this very mesh, or numpy.save of whole numbers, "
    "one per face: shape (faces,), type int32."
)


def read_face_numbers(file: BinaryIO, face_count: int) -> NDArray[np.int32]:
    """Read the part number of each face.

    Nothing is unpickled or evaluated, and no memory is taken before the header has been found to
    fit the mesh.

    Parameters
    ----------
    file : binary file
        Open at its beginning.
    face_count : int
        Faces of the mesh.

    Returns
    -------
    (face_count,) int32
        As given; a face below 0 belongs to no part.

    Raises
    ------
    InvalidParameter
        Not such a file, of another length, out of the range of int32, or of too many parts.
    """
    kind = _checked_type(_header(file), face_count)
    wanted_bytes = face_count * kind.itemsize
    data = file.read(wanted_bytes + 1)
    if len(data) < wanted_bytes:
        raise _refused("The part numbers end before the last face.")
    if len(data) > wanted_bytes:
        raise _refused("The file goes on after the part number of the last face.")
    numbers = np.frombuffer(data, dtype=kind)
    _check_values(numbers)
    return numbers.astype(np.int32)


def _check_values(numbers: NDArray[np.integer]) -> None:
    for extreme in (int(numbers.min()), int(numbers.max())):
        if not _RANGE.min <= extreme <= _RANGE.max:
            raise _refused(f"A part number is {extreme}, which does not fit into int32.")
    parts = len(np.unique(np.maximum(numbers, -1) if numbers.dtype.kind == "i" else numbers))
    if parts > MAX_PARTS:
        raise _refused(f"There are {parts:,} different part numbers, more than {MAX_PARTS:,}.")


def _header(file: BinaryIO) -> str:
    """Read the header; NumPy itself would evaluate it as Python."""
    start = file.read(len(SIGNATURE) + 2)
    length_bytes = _LENGTH_BYTES.get(start[len(SIGNATURE) :])
    if not start.startswith(SIGNATURE) or length_bytes is None:
        raise _refused("The part numbers are not a NumPy file (.npy) of version 1 or 2.")
    length = int.from_bytes(file.read(length_bytes), "little")
    if not 0 < length <= MAX_HEADER_BYTES:
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
    return InvalidParameter(detail, advice=_ADVICE, fields=(problem,))
