"""Reads OBJ: positions, texture coordinates, polygons and the names of materials.

The material library beside it (``mtllib``) is never opened, so colours and textures stay behind.
"""

from __future__ import annotations

import io
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt, MeshTooLarge, UnusableMesh
from backend.meshes.reading.mesh_checks import check_face_count
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.number_text import numbers_in
from backend.meshes.source_mesh import Material, SourceMesh

MAX_CORNERS = 10_000
MAX_NAME = 100


def _numbered() -> defaultdict[bytes, int]:
    """Make a table that numbers what it is asked for, in the order of asking."""
    table: defaultdict[bytes, int] = defaultdict()
    table.default_factory = table.__len__
    return table


@dataclass
class _ObjLines:
    """What the lines of a file say, before it is turned into arrays.

    Parameters
    ----------
    corners : table of bytes to int
        Each different ``v/vt/vn`` of a face, with its number.
    """

    limits: MeshLimits
    positions: list[bytes] = field(default_factory=list)
    texture_points: list[bytes] = field(default_factory=list)
    corners: defaultdict[bytes, int] = field(default_factory=_numbered)
    triangles: array[int] = field(default_factory=lambda: array("i"))
    materials: defaultdict[bytes, int] = field(default_factory=_numbered)
    runs: list[tuple[int, int]] = field(default_factory=list)

    def read(self, data: bytes) -> None:
        """Go through all lines; raises MeshTooLarge, MeshCorrupt."""
        for line in io.BytesIO(_one_line_each(data)):
            kind = line[:2]
            if kind == b"v ":
                self.positions.append(line[2:])
            elif kind in (b"f ", b"f\t"):
                self._face(line[2:])
            else:
                self._rarer(line)

    def _rarer(self, line: bytes) -> None:
        words = line.split(None, 1)
        if len(words) < 2:
            return
        if words[0] == b"vt":
            self.texture_points.append(words[1])
        elif words[0] == b"v":
            self.positions.append(words[1])
        elif words[0] == b"f":
            self._face(words[1])
        elif words[0] == b"usemtl":
            number = self.materials[words[1].strip()[:MAX_NAME]]
            self.runs.append((len(self.triangles) // 3, number))

    def _face(self, line: bytes) -> None:
        """Cut a polygon into a fan of triangles."""
        words = line.split()
        if not 3 <= len(words) <= MAX_CORNERS:
            raise MeshCorrupt(f"A face has {len(words):,} corners.")
        if b"-" in line:
            words = [self._counted_back(word) for word in words]
        numbers = [self.corners[word] for word in words]
        for second, third in pairwise(numbers[1:]):
            self.triangles.extend((numbers[0], second, third))
        if len(self.triangles) > 3 * self.limits.faces:
            check_face_count(len(self.triangles) // 3, self.limits, is_all=False)

    def _counted_back(self, word: bytes) -> bytes:
        """Turn numbers that count back from the last line into those that count from 1."""
        counts = (len(self.positions), len(self.texture_points), 0)
        parts = word.split(b"/")[:2]
        return b"/".join(
            b"%d" % (count + 1 + int(part)) if part.startswith(b"-") else part
            for part, count in zip(parts, counts, strict=False)
        )


def read_obj(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read an OBJ file, polygons cut into triangles, in the order of its faces.

    Raises
    ------
    MeshCorrupt, MeshTooLarge, UnusableMesh
    """
    lines = _ObjLines(limits)
    try:
        lines.read(data)
        pairs = _index_pairs(lines.corners)
    except (ValueError, OverflowError) as error:
        raise MeshCorrupt("A face names something that is no number.") from error
    positions, colors = _positions(lines.positions)
    _check(pairs[:, 0], len(positions), "vertex")
    unique, numbers = _distinct(pairs)
    faces = numbers[np.frombuffer(lines.triangles, dtype=np.int32)].reshape(-1, 3)
    materials, kinds = _materials(lines, len(faces))
    return SourceMesh(
        positions[unique[:, 0]],
        faces.astype(np.int32),
        _texture_coordinates(lines.texture_points, unique[:, 1]),
        None if colors is None else colors[unique[:, 0]],
        materials,
        kinds,
    )


def _one_line_each(data: bytes) -> bytes:
    """Join lines that a backslash continues, and end lines as Unix does."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\\\n", b" ") if b"\\\n" in data else data


def _index_pairs(corners: defaultdict[bytes, int]) -> NDArray[np.int64]:
    """Read vertex and texture point of each different corner, from 0; -1 is none."""
    pairs = np.zeros((len(corners), 2), dtype=np.int64)
    for row, word in enumerate(corners):
        parts = word.split(b"/")
        pairs[row, 0] = int(parts[0]) - 1
        pairs[row, 1] = int(parts[1]) - 1 if len(parts) > 1 and parts[1] else -1
    return pairs


def _distinct(pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join corners that differ in their normal only, in the order of their first use."""
    span = int(pairs[:, 1].max(initial=0)) + 2
    keys = pairs[:, 0] * span + pairs[:, 1] + 1
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.zeros_like(order)
    rank[order] = np.arange(len(order))
    return pairs[first[order]], rank[inverse.reshape(-1)]


def _positions(
    lines: list[bytes],
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Read ``x y z``, ``x y z w`` or, as scanners write it, ``x y z red green blue``."""
    if not lines:
        raise UnusableMesh("It has no vertices.")
    width = len(lines[0].split())
    if width not in (3, 4, 6, 7):
        raise MeshCorrupt(f"A vertex has {width} numbers.")
    rows = numbers_in(b" ".join(lines), width * len(lines), "The vertices").reshape(-1, width)
    with np.errstate(over="ignore"):
        positions = rows[:, :3].astype(np.float32)
    if width < 6 or not np.isfinite(rows[:, 3:6]).all():
        return positions, None
    colors = np.full((len(rows), 4), 255, dtype=np.uint8)
    scale = 255 if rows[:, 3:6].max() <= 1 else 1
    colors[:, :3] = np.clip(np.rint(rows[:, 3:6] * scale), 0, 255)
    return positions, colors


def _texture_coordinates(
    lines: list[bytes], chosen: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Turn texture points, whose origin is at the bottom, into glTF's."""
    if not lines or (chosen < 0).all():
        return None
    _check(chosen[chosen >= 0], len(lines), "texture point")
    width = len(lines[0].split())
    rows = numbers_in(b" ".join(lines), width * len(lines), "The texture points")
    points = np.zeros((len(lines) + 1, 2))  # the last is for corners that have none
    points[:-1] = rows.reshape(-1, width)[:, :2] if width > 1 else rows[:, None]
    points[:-1, 1] = 1 - points[:-1, 1]
    found: NDArray[np.float32] = np.nan_to_num(points[chosen], posinf=0, neginf=0).astype("f4")
    return found


def _materials(lines: _ObjLines, faces: int) -> tuple[tuple[Material, ...], NDArray[np.int16]]:
    """Give each face the material whose name came last before it."""
    if len(lines.materials) > lines.limits.materials:
        raise MeshTooLarge(f"It has {len(lines.materials):,} materials.")
    first = lines.runs[0][0] if lines.runs else faces
    unnamed = 1 if first else 0  # faces before the first name
    starts = np.array([0, *(start for start, _ in lines.runs), faces])
    numbers = np.array([0, *(number + unnamed for _, number in lines.runs)], dtype=np.int16)
    kinds = np.repeat(numbers, np.diff(starts))
    names = [name.decode("utf-8", "replace") for name in lines.materials]
    return tuple(Material(name) for name in ["material"] * unnamed + names), kinds


def _check(numbers: NDArray[np.int64], count: int, what: str) -> None:
    if len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) >= count):
        wrong = int(numbers.min()) if int(numbers.min()) < 0 else int(numbers.max())
        raise UnusableMesh(f"A face names {what} {wrong + 1:,}, but there are {count:,}.")
