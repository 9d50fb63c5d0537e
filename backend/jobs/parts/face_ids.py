"""Writes the part of each face as a NumPy file, without NumPy: the web process has none."""

from __future__ import annotations

import re
import sys
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from backend.errors import FilesExpired

MEMBER = "face_patches.npy"
MAGIC = b"\x93NUMPY"
ALIGNED_TO = 64
BYTES_PER_FACE = 4
CHUNK_FACES = 1 << 16
_SHAPE = re.compile(rb"'descr': '<i4', 'fortran_order': False, 'shape': \((\d+),\)")


@dataclass(frozen=True)
class FaceIds:
    """A ``.npy`` file in pieces: (faces,) little-endian int32.

    Parameters
    ----------
    size_bytes : int
        Of all pieces together.
    pieces : iterator of bytes
        Read from the archive one after the other.
    archive : ZipFile
        Open until ``close``.
    """

    size_bytes: int
    pieces: Iterator[bytes]
    archive: zipfile.ZipFile

    def close(self) -> None:
        """Close the file that is read from."""
        self.archive.close()


def face_ids(path: Path, patch_parts: Sequence[int]) -> FaceIds:
    """Look up the part of the patch of each face.

    Parameters
    ----------
    path : Path
        ``part_tree.npz``, of which ``face_patches`` is read piece by piece.
    patch_parts : sequence of int
        The part of each patch.

    Raises
    ------
    FilesExpired
        The file has been removed.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise FilesExpired from error
    source = archive.open(MEMBER)
    count = _face_count(source)
    header = npy_header(count)
    size = len(header) + BYTES_PER_FACE * count
    return FaceIds(size, _pieces(source, header, patch_parts), archive)


def npy_header(count: int) -> bytes:
    """Write the beginning of a ``.npy`` file of ``count`` little-endian int32 numbers.

    >>> len(npy_header(5)) % 64, npy_header(5)[1:6]
    (0, b'NUMPY')

    Source: NumPy Enhancement Proposal 1, format version 1.0.
    """
    text = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({count},), }}".encode()
    used = len(MAGIC) + 4 + len(text) + 1
    text += b" " * (-used % ALIGNED_TO) + b"\n"
    return MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text


def _face_count(source: IO[bytes]) -> int:
    start = source.read(len(MAGIC) + 4)
    text = source.read(int.from_bytes(start[-2:], "little"))
    found = _SHAPE.search(text) if start.startswith(MAGIC + b"\x01\x00") else None
    if found is None:
        raise ValueError("face_patches is not a one-dimensional array of little-endian int32")
    return int(found[1])


def _pieces(source: IO[bytes], header: bytes, patch_parts: Sequence[int]) -> Iterator[bytes]:
    lookup = [*patch_parts]
    with source:
        yield header
        while data := source.read(BYTES_PER_FACE * CHUNK_FACES):
            patches = _native(array("i", data))
            yield _native(array("i", map(lookup.__getitem__, patches))).tobytes()


def _native(numbers: array[int]) -> array[int]:
    """Turn the bytes around where the machine writes numbers from the other end."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
