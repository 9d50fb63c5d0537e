"""Reads what follows a PLY header: columns of numbers, and lists, as text or binary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt
from backend.meshes.reading.bounded_bytes import array_at
from backend.meshes.reading.number_text import numbers_at_start
from backend.meshes.reading.ply_header import PlyElement, PlyHeader

MAX_LIST = 100_000


@dataclass(frozen=True)
class PlyLists:
    """One list per entry, one after the other, and how long each is."""

    values: NDArray[np.int64]
    lengths: NDArray[np.int64]


class PlyBody(Protocol):
    """The entries, element by element."""

    def columns(self, element: PlyElement) -> dict[str, NDArray[Any]]:
        """Read an element without lists."""

    def lists(self, element: PlyElement, wanted: str) -> PlyLists:
        """Read one list property of an element; ``wanted`` empty only skips it."""


def ply_body(data: bytes, header: PlyHeader) -> PlyBody:
    """Open the entries of a file."""
    body = memoryview(data)[header.body_offset :]
    return BinaryPlyBody(body) if header.order else TextPlyBody(bytes(body), header)


class BinaryPlyBody:
    """Entries as bytes."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._offset = 0

    def columns(self, element: PlyElement) -> dict[str, NDArray[Any]]:
        """Read an element without lists; raises MeshCorrupt."""
        record = np.dtype([(item.name, item.kind) for item in element.properties])
        rows = self._rows(record, element)
        self._offset += rows.nbytes
        return {name: rows[name] for name in record.names or ()}

    def lists(self, element: PlyElement, wanted: str) -> PlyLists:
        """Read a list property: at once when all are as long as the first, else one by one."""
        if not element.count:
            return _no_lists()
        record, counted = self._first_record(element)
        uniform = record.itemsize * element.count <= len(self._data) - self._offset
        if uniform:
            rows = self._rows(record, element)
            uniform = all((rows[name] == length).all() for name, length in counted.items())
        if not uniform:
            return self._one_by_one(element, wanted)
        self._offset += rows.nbytes
        if not wanted:
            return _no_lists()
        lengths = np.full(element.count, counted[_count_name(wanted)], dtype=np.int64)
        return PlyLists(rows[wanted].reshape(-1).astype(np.int64), lengths)

    def _rows(self, record: np.dtype[Any], element: PlyElement) -> NDArray[Any]:
        return array_at(
            self._data, record, (element.count,), self._offset, what=f"PLY {element.name[:40]!r}"
        )

    def _first_record(self, element: PlyElement) -> tuple[np.dtype[Any], dict[str, int]]:
        """Lay out an entry as the first one is."""
        fields: list[Any] = []
        counted: dict[str, int] = {}
        position = self._offset
        for item in element.properties:
            length = 1
            if item.count_kind is not None:
                length = self._count(position, item.count_kind)
                counted[_count_name(item.name)] = length
                fields.append((_count_name(item.name), item.count_kind))
                fields.append((item.name, item.kind, (length,)))
                position += item.count_kind.itemsize
            else:
                fields.append((item.name, item.kind))
            position += length * item.kind.itemsize
        return np.dtype(fields), counted

    def _one_by_one(self, element: PlyElement, wanted: str) -> PlyLists:
        starts = np.zeros(element.count, dtype=np.int64)
        lengths = np.zeros(element.count, dtype=np.int64)
        position, end = self._offset, len(self._data)
        kind: np.dtype[Any] = np.dtype("u1")
        for row in range(element.count):
            for item in element.properties:
                length = 1
                if item.count_kind is not None:
                    length = self._count(position, item.count_kind)
                    position += item.count_kind.itemsize
                if item.name == wanted:
                    starts[row], lengths[row], kind = position, length, item.kind
                position += length * item.kind.itemsize
            if position > end:
                raise MeshCorrupt(f"PLY {element.name[:40]!r}: the file ends in entry {row:,}.")
        self._offset = position
        return PlyLists(self._gathered(starts, lengths, kind), lengths)

    def _gathered(
        self, starts: NDArray[np.int64], lengths: NDArray[np.int64], kind: np.dtype[Any]
    ) -> NDArray[np.int64]:
        """Read lists that begin anywhere."""
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        at = np.repeat(starts, lengths) + within * kind.itemsize
        raw = np.frombuffer(self._data, dtype=np.uint8)
        if not len(at):
            return np.zeros(0, dtype=np.int64)
        picked = raw[at[:, None] + np.arange(kind.itemsize)]
        return np.ascontiguousarray(picked).view(kind).reshape(-1).astype(np.int64)

    def _count(self, position: int, kind: np.dtype[Any]) -> int:
        found = self._data[position : position + kind.itemsize]
        if len(found) < kind.itemsize or kind.kind not in "iu":
            raise MeshCorrupt("A list of the PLY file has no length.")
        order: Literal["little", "big"] = "big" if kind.byteorder == ">" else "little"
        return _checked_length(int.from_bytes(found, order, signed=kind.kind == "i"))


class TextPlyBody:
    """Entries as text; line breaks do not matter."""

    def __init__(self, text: bytes, header: PlyHeader) -> None:
        least = sum(element.count * len(element.properties) for element in header.elements)
        self._numbers = numbers_at_start(text, least, "The PLY file")
        self._position = 0

    def columns(self, element: PlyElement) -> dict[str, NDArray[Any]]:
        """Read an element without lists; raises MeshCorrupt."""
        width = len(element.properties)
        rows = self._taken(element.count * width).reshape(element.count, width)
        return {
            item.name: _of_kind(rows[:, at], item.kind)
            for at, item in enumerate(element.properties)
        }

    def lists(self, element: PlyElement, wanted: str) -> PlyLists:
        """Read a list property; see ``BinaryPlyBody.lists``."""
        if not element.count:
            return _no_lists()
        if len(element.properties) == 1:
            quick = self._alike(element.count)
            if quick is not None:
                return quick
        return self._one_by_one(element, wanted)

    def _alike(self, count: int) -> PlyLists | None:
        """Read lists that are all as long as the first, or give up."""
        length = _checked_length(self._at(self._position))
        rows = self._numbers[self._position : self._position + count * (length + 1)]
        if len(rows) < count * (length + 1):
            return None
        rows = rows.reshape(count, length + 1)
        if not (rows[:, 0] == length).all():
            return None
        self._position += rows.size
        return PlyLists(_whole(rows[:, 1:].reshape(-1)), np.full(count, length, dtype=np.int64))

    def _one_by_one(self, element: PlyElement, wanted: str) -> PlyLists:
        values: list[NDArray[np.float64]] = []
        lengths = np.zeros(element.count, dtype=np.int64)
        for row in range(element.count):
            for item in element.properties:
                length = 1
                if item.count_kind is not None:
                    length = _checked_length(self._at(self._position))
                    self._position += 1
                taken = self._taken(length)
                if item.name == wanted:
                    values.append(taken)
                    lengths[row] = length
        whole = np.concatenate(values) if values else np.zeros(0)
        return PlyLists(_whole(whole), lengths)

    def _taken(self, count: int) -> NDArray[np.float64]:
        found = self._numbers[self._position : self._position + count]
        if len(found) < count:
            raise MeshCorrupt("The PLY file ends before its entries do.")
        self._position += count
        return found

    def _at(self, position: int) -> float:
        if position >= len(self._numbers):
            raise MeshCorrupt("The PLY file ends before its entries do.")
        return float(self._numbers[position])


def _no_lists() -> PlyLists:
    return PlyLists(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def _count_name(name: str) -> str:
    return f"{name} count"  # a property's own name holds no space


def _checked_length(length: float) -> int:
    if not 0 <= length <= MAX_LIST or length != int(length):
        raise MeshCorrupt(f"A list of the PLY file has {length:g} entries.")
    return int(length)


def _of_kind(values: NDArray[np.float64], kind: np.dtype[Any]) -> NDArray[Any]:
    if kind.kind == "f":
        return values
    bounds = np.iinfo(kind)
    return np.clip(np.nan_to_num(values), bounds.min, bounds.max).astype(kind)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn numbers into indices; what is none becomes -1, which is refused later."""
    sane = np.isfinite(values) & (np.abs(values) < 2**31) & (values == np.floor(values))
    return np.where(sane, values, -1).astype(np.int64)
