"""Reads accessors: numbers in a buffer, interleaved, normalised or sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt
from backend.meshes.reading.bounded_bytes import array_at
from backend.meshes.reading.gltf_document import GltfDocument, child, whole

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
INDEX_KINDS = ("<u1", "<u2", "<u4")


@dataclass(frozen=True)
class Accessor:
    """Rows of numbers as they lie in the file.

    Parameters
    ----------
    values : (n, k) array
        A view into the file where nothing had to be changed.
    is_normalised : bool
        Whether whole numbers stand for fractions.
    """

    values: NDArray[Any]
    is_normalised: bool

    def real(self, rows: NDArray[np.integer] | slice) -> NDArray[np.float64]:
        """Return some rows as the numbers that are meant, (r, k) float64."""
        picked = self.values[rows]
        if not self.is_normalised or picked.dtype.kind == "f":
            return picked.astype(np.float64)
        return np.maximum(picked / float(np.iinfo(picked.dtype).max), -1.0)


def accessor_count(document: GltfDocument, number: object) -> int:
    """How many rows an accessor says it has; raises MeshCorrupt."""
    return whole(document.item("accessors", number), "count")


def accessor(document: GltfDocument, number: object, *widths: int) -> Accessor:
    """Read an accessor.

    Parameters
    ----------
    widths : int
        Numbers per row that are allowed.

    Raises
    ------
    MeshCorrupt
        Its type or its counts do not fit, or its data are not there.
    """
    entry = document.item("accessors", number)
    name = f"accessors[{number}]"
    kind = _KINDS.get(whole(entry, "componentType"))
    width = _WIDTHS.get(str(entry.get("type")))
    if kind is None or width not in widths:
        raise MeshCorrupt(f"{name} is of a type that does not belong here.")
    shape = (whole(entry, "count"), width)
    values = _dense(document, entry, np.dtype(kind), shape, name)
    if "sparse" in entry:
        values = _with_changes(document, child(entry, "sparse"), values, name)
    return Accessor(values, bool(entry.get("normalized", False)))


def _dense(
    document: GltfDocument,
    entry: dict[str, Any],
    kind: np.dtype[Any],
    shape: tuple[int, int],
    name: str,
) -> NDArray[Any]:
    if "bufferView" in entry:
        data, stride = document.view(entry["bufferView"])
        return array_at(data, kind, shape, whole(entry, "byteOffset", 0), stride, what=name)
    changes = child(entry, "sparse")
    if not changes or shape[0] > 1000 * max(1, whole(changes, "count")):
        raise MeshCorrupt(f"{name} says {shape[0]:,} entries, but has no data.")
    return np.zeros(shape, dtype=kind)


def _with_changes(
    document: GltfDocument, changes: dict[str, Any], base: NDArray[Any], name: str
) -> NDArray[Any]:
    """Replace the rows that a sparse accessor lists."""
    count = whole(changes, "count")
    where, what = child(changes, "indices"), child(changes, "values")
    kind = _KINDS.get(whole(where, "componentType"), "")
    if kind not in INDEX_KINDS:
        raise MeshCorrupt(f"{name}: the rows of its changes are no whole numbers.")
    data, _ = document.view(where.get("bufferView"))
    offset = whole(where, "byteOffset", 0)
    rows = array_at(data, kind, (count,), offset, what=f"{name}, rows of its changes")
    data, _ = document.view(what.get("bufferView"))
    offset = whole(what, "byteOffset", 0)
    shape = (count, base.shape[1])
    values = array_at(data, base.dtype, shape, offset, what=f"{name}, its changes")
    if count and int(rows.max()) >= len(base):
        raise MeshCorrupt(f"{name} changes row {int(rows.max()):,} of {len(base):,}.")
    changed = base.copy()
    changed[rows] = values
    return changed
