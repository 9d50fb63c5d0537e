"""Reads the meshes of a glTF: triangles, strips and fans, with what their vertices carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt, UnsupportedExtension
from backend.meshes.reading.gltf_accessors import (
    INDEX_KINDS,
    Accessor,
    accessor,
    accessor_count,
)
from backend.meshes.reading.gltf_document import DRACO, GltfDocument, child, extensions, whole
from backend.meshes.reading.gltf_materials import TexturePlace
from backend.meshes.reading.gltf_skins import posed_points
from backend.meshes.reading.mesh_checks import check_indices

TRIANGLES, STRIP, FAN = 4, 5, 6
_DRACO_ADVICE = "Export it again without Draco compression."
Corners = NDArray[np.int64]


@dataclass(frozen=True)
class Primitive:
    """One primitive of a mesh, not yet read."""

    attributes: dict[str, Any]
    indices: object
    mode: int
    material: object

    def face_count(self, document: GltfDocument) -> int:
        """How many faces it says it has, before anything is read; raises MeshCorrupt."""
        source = self.attributes["POSITION"] if self.indices is None else self.indices
        corners = accessor_count(document, source)
        return corners // 3 if self.mode == TRIANGLES else max(0, corners - 2)

    def check_bytes(self, document: GltfDocument) -> None:
        """Compare its counts with the bytes that are there; raises MeshCorrupt."""
        accessor(document, self.attributes["POSITION"], 3)
        if self.indices is not None:
            accessor(document, self.indices, 1)

    def triangles(self, document: GltfDocument) -> Corners:
        """Read its faces, (m, 3) int64; raises MeshCorrupt, UnusableMesh."""
        count = accessor_count(document, self.attributes["POSITION"])
        if self.indices is None:
            corners = np.arange(count, dtype=np.int64)
        else:
            values = accessor(document, self.indices, 1).values
            if values.dtype.str.replace("|", "<") not in INDEX_KINDS:
                raise MeshCorrupt(f"accessors[{self.indices}] holds no indices.")
            corners = values.reshape(-1).astype(np.int64)
        check_indices(corners, count)
        return _as_triangles(corners, self.mode)


@dataclass
class VertexGroup:
    """Primitives that share their vertices: those are read once, and only the ones in use.

    Parameters
    ----------
    positions, uvs, colors, joints, weights : Accessor or None
        What each vertex carries; the last two tell on which bones it hangs.
    place : TexturePlace
        What is done to the texture coordinates.
    """

    positions: Accessor
    uvs: Accessor | None
    colors: Accessor | None
    joints: Accessor | None
    weights: Accessor | None
    place: TexturePlace
    faces: list[Corners] = field(default_factory=list)

    def points(
        self,
        rows: NDArray[np.int64] | slice,
        matrix: NDArray[np.float64],
        bones: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return where some of its vertices stand in the world; raises MeshCorrupt."""
        points = self.positions.real(rows)
        with np.errstate(all="ignore"):  # what overflows is refused as not finite
            if bones is None or self.joints is None or self.weights is None:
                return points @ matrix[:3, :3].T + matrix[:3, 3]
            joints, weights = Accessor(self.joints.values, is_normalised=False), self.weights
            return posed_points(points, joints.real(rows), weights.real(rows), bones)

    def used(self) -> NDArray[np.int64]:
        """Which vertices its faces use, in their order."""
        marks = np.zeros(len(self.positions.values), dtype=np.bool_)
        for faces in self.faces:
            marks[faces] = True
        return np.flatnonzero(marks)


def primitives_of(document: GltfDocument, mesh: int) -> list[Primitive]:
    """List the primitives of a mesh that are surfaces; raises MeshCorrupt."""
    entries = document.item("meshes", mesh).get("primitives", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MeshCorrupt(f"The primitives of meshes[{mesh}] are no list of objects.")
    found = []
    for entry in entries:
        mode = whole(entry, "mode", TRIANGLES)
        if mode > FAN:
            raise MeshCorrupt(f"meshes[{mesh}] has a primitive of mode {mode}.")
        attributes = child(entry, "attributes")
        if mode >= TRIANGLES and "POSITION" in attributes:
            _check_draco(document, entry, attributes)
            found.append(Primitive(attributes, entry.get("indices"), mode, entry.get("material")))
    return found


def open_group(document: GltfDocument, primitive: Primitive, place: TexturePlace) -> VertexGroup:
    """Read what the vertices of a primitive carry; raises MeshCorrupt."""
    attributes = primitive.attributes
    positions = accessor(document, attributes["POSITION"], 3)
    group = VertexGroup(
        positions,
        _optional(document, attributes.get(place.attribute), 2),
        _optional(document, attributes.get("COLOR_0"), 3, 4),
        _optional(document, attributes.get("JOINTS_0"), 4),
        _optional(document, attributes.get("WEIGHTS_0"), 4),
        place,
    )
    for other in (group.uvs, group.colors, group.joints, group.weights):
        if other is not None and len(other.values) != len(positions.values):
            raise MeshCorrupt("The attributes of a primitive differ in length.")
    return group


def _optional(document: GltfDocument, number: object, *widths: int) -> Accessor | None:
    return None if number is None else accessor(document, number, *widths)


def _check_draco(document: GltfDocument, entry: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Refuse what is there in compressed form only."""
    if DRACO in extensions(entry):
        positions = document.item("accessors", attributes["POSITION"])
        if "bufferView" not in positions:
            raise UnsupportedExtension(f"It needs {DRACO}.", advice=_DRACO_ADVICE)


def _as_triangles(corners: Corners, mode: int) -> Corners:
    """Cut a strip or a fan into triangles.

    Source
    ------
    glTF 2.0, 3.7.2.1 "Overview" of primitives; stitches of strips (a corner twice) are dropped.
    """
    if mode == TRIANGLES:
        if len(corners) % 3:
            raise MeshCorrupt(f"A list of triangles has {len(corners):,} corners.")
        return corners.reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    if mode == FAN:
        first = np.full(len(corners) - 2, corners[0])
        return np.stack([corners[1:-1], corners[2:], first], axis=1)
    at = np.arange(len(corners) - 2)
    odd = at % 2
    strip = np.stack([corners[at], corners[at + 1 + odd], corners[at + 2 - odd]], axis=1)
    a, b, c = strip.T
    kept: Corners = strip[(a != b) & (b != c) & (c != a)]
    return kept
