"""Reads the header of a PLY file and checks its counts against the bytes that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.errors import MeshCorrupt

MAX_HEADER_BYTES = 1 << 16
MAX_PROPERTIES = 256
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class PlyProperty:
    """One property: a number, or a list of them when ``count_kind`` is set."""

    name: str
    kind: np.dtype[np.generic]
    count_kind: np.dtype[np.generic] | None = None


@dataclass(frozen=True)
class PlyElement:
    """One kind of entry, such as ``vertex``, and how many of them follow."""

    name: str
    count: int
    properties: tuple[PlyProperty, ...]

    @property
    def least_bytes(self) -> int:
        """Bytes of an entry whose lists are all empty."""
        return sum((item.count_kind or item.kind).itemsize for item in self.properties)

    @property
    def has_lists(self) -> bool:
        """Whether entries may differ in length."""
        return any(item.count_kind is not None for item in self.properties)


@dataclass(frozen=True)
class PlyHeader:
    """The whole header; ``order`` is that of the bytes, or empty for text."""

    order: str
    elements: tuple[PlyElement, ...]
    body_offset: int


def read_ply_header(data: bytes) -> PlyHeader:
    """Read the header.

    Raises
    ------
    MeshCorrupt
        It does not end, cannot be read, or promises more than the file holds.
    """
    text, body_offset = _header_text(data)
    order: str | None = None
    elements: list[PlyElement] = []
    properties = 0
    for line in text.splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            order = _ORDERS.get(words[1] if len(words) > 1 else "")
        elif words[0] == "element":
            elements.append(_element(words))
        elif words[0] == "property" and elements:
            properties += 1
            elements[-1] = _with_property(elements[-1], words, order or "")
        else:
            raise MeshCorrupt(f"The PLY header has the line {line[:60]!r}.")
    if order is None or properties > MAX_PROPERTIES:
        raise MeshCorrupt("The PLY header names no format we know, or too many properties.")
    header = PlyHeader(order, tuple(elements), body_offset)
    _check_counts(header, len(data) - body_offset)
    return header


def _header_text(data: bytes) -> tuple[str, int]:
    end = data.find(b"end_header", 0, MAX_HEADER_BYTES)
    if end < 0:
        raise MeshCorrupt("The PLY header has no end.")
    line_end = data.find(b"\n", end)
    if line_end < 0:
        line_end = len(data) - 1
    if data[end + 10 : end + 11] == b"\r" and data[end + 11 : end + 12] != b"\n":
        line_end = end + 10  # old Macintosh
    return data[:end].decode("latin-1"), line_end + 1


def _element(words: list[str]) -> PlyElement:
    try:
        name, count = words[1], int(words[2])
    except (IndexError, ValueError) as error:
        raise MeshCorrupt("An element of the PLY header has no count.") from error
    if count < 0:
        raise MeshCorrupt(f"The PLY header promises {count:,} entries of {name[:40]!r}.")
    return PlyElement(name, count, ())


def _with_property(element: PlyElement, words: list[str], order: str) -> PlyElement:
    try:
        if words[1] == "list":
            item = PlyProperty(words[4], _kind(words[3], order), _kind(words[2], order))
        else:
            item = PlyProperty(words[2], _kind(words[1], order))
    except (IndexError, KeyError) as error:
        raise MeshCorrupt(f"The PLY header has the property {' '.join(words)[:60]!r}.") from error
    if any(item.name == other.name for other in element.properties):
        raise MeshCorrupt(f"The PLY header names the property {item.name[:40]!r} twice.")
    return PlyElement(element.name, element.count, (*element.properties, item))


def _kind(name: str, order: str) -> np.dtype[np.generic]:
    return np.dtype(order + _TYPES[name])


def _check_counts(header: PlyHeader, body_bytes: int) -> None:
    """Compare with the least that each entry takes: its bytes, or a digit and a space."""
    needed = 0
    for element in header.elements:
        each = element.least_bytes if header.order else 2 * len(element.properties)
        needed += element.count * each
        if needed > body_bytes + 1:
            raise MeshCorrupt(
                f"The PLY header promises {element.count:,} entries of {element.name[:40]!r}, "
                f"at least {needed:,} bytes, but only {body_bytes:,} follow."
            )
