"""Reads glTF and GLB into one mesh: every instance in its place, faces in the file's order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.errors import UnusableMesh
from backend.meshes.reading.gltf_container import open_glb, open_gltf
from backend.meshes.reading.gltf_document import GltfDocument
from backend.meshes.reading.gltf_materials import MaterialShelf
from backend.meshes.reading.gltf_nodes import Matrix, PlacedMesh, placed_meshes
from backend.meshes.reading.gltf_primitives import (
    Corners,
    Primitive,
    VertexGroup,
    open_group,
    primitives_of,
)
from backend.meshes.reading.mesh_checks import check_face_count
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.vertex_colors import to_srgb
from backend.meshes.source_mesh import SourceMesh

_Row = TypeVar("_Row", bound=np.generic)


def read_glb(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read a GLB file; raises BadInput."""
    return read_document(open_glb(data), limits)


def read_gltf(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read a glTF file that holds everything itself; raises BadInput."""
    return read_document(open_gltf(data), limits)


def read_document(document: GltfDocument, limits: MeshLimits) -> SourceMesh:
    """Read the scene of a glTF.

    Raises
    ------
    UnsupportedExtension, ExternalResource, MeshCorrupt, MeshTooLarge, UnusableMesh
    """
    document.check()
    placed = placed_meshes(document, limits)
    surfaces = {mesh: primitives_of(document, mesh) for mesh in {item.mesh for item in placed}}
    _check_total(document, placed, surfaces, limits)
    parts = _Parts(document, MaterialShelf(document, limits))
    for item in placed:
        parts.add(surfaces[item.mesh], item)
    return parts.joined()


def _check_total(
    document: GltfDocument,
    placed: list[PlacedMesh],
    surfaces: dict[int, list[Primitive]],
    limits: MeshLimits,
) -> None:
    """Add up what the file says it has, before memory is taken for it."""
    for primitives in surfaces.values():
        for primitive in primitives:
            primitive.check_bytes(document)
    faces = {
        mesh: sum(primitive.face_count(document) for primitive in primitives)
        for mesh, primitives in surfaces.items()
    }
    check_face_count(sum(faces[item.mesh] for item in placed), limits)


@dataclass
class _Parts:
    """What was read so far, piece by piece."""

    document: GltfDocument
    shelf: MaterialShelf
    vertices: list[NDArray[np.float32]] = field(default_factory=list)
    uvs: list[NDArray[np.float32] | None] = field(default_factory=list)
    colors: list[NDArray[np.uint8] | None] = field(default_factory=list)
    faces: list[NDArray[np.int32]] = field(default_factory=list)
    kinds: list[NDArray[np.int16]] = field(default_factory=list)
    total: int = 0

    def add(self, primitives: list[Primitive], placed: PlacedMesh) -> None:
        """Read a mesh into its place."""
        groups: dict[tuple[object, ...], VertexGroup] = {}
        triangles: list[tuple[VertexGroup, Corners, int]] = []
        for primitive in primitives:
            number, place = self.shelf.look_up(primitive.material)
            names = ("POSITION", place.attribute, "COLOR_0", "JOINTS_0", "WEIGHTS_0")
            key = (place, *(str(primitive.attributes.get(name)) for name in names))
            if key not in groups:
                groups[key] = open_group(self.document, primitive, place)
            faces = primitive.triangles(self.document)
            groups[key].faces.append(faces)
            triangles.append((groups[key], faces, number))
        renumbered = {id(group): self._add_vertices(group, placed) for group in groups.values()}
        mirrored = _is_mirrored(placed.matrix if placed.bones is None else placed.bones[0])
        for group, faces, number in triangles:
            corners = renumbered[id(group)][faces]
            self.faces.append(corners[:, ::-1] if mirrored else corners)
            self.kinds.append(np.full(len(corners), number, dtype=np.int16))

    def _add_vertices(self, group: VertexGroup, placed: PlacedMesh) -> NDArray[np.int32]:
        """Read the vertices in use; returns the number in the whole mesh of each in the group."""
        used = group.used()
        rows = slice(None) if len(used) == len(group.positions.values) else used
        with np.errstate(all="ignore"):  # what overflows is refused as not finite
            points = group.points(rows, placed.matrix, placed.bones)
            self.vertices.append(points.astype(np.float32))
        uvs, colors = group.uvs, group.colors
        self.uvs.append(None if uvs is None else _coordinates(group.place.applied(uvs.real(rows))))
        self.colors.append(None if colors is None else to_srgb(colors.real(rows)))
        numbers = np.full(len(group.positions.values), -1, dtype=np.int32)
        numbers[used] = np.arange(self.total, self.total + len(used), dtype=np.int32)
        self.total += len(used)
        return numbers

    def joined(self) -> SourceMesh:
        """Put all together; raises UnusableMesh when there are no faces."""
        if not sum(map(len, self.faces)):
            raise UnusableMesh("It has no faces.", advice="Export a surface, not points or lines.")
        lengths = [len(piece) for piece in self.vertices]
        return SourceMesh(
            np.concatenate(self.vertices),
            np.concatenate(self.faces),
            _filled(self.uvs, lengths, np.zeros((1, 2), dtype=np.float32)),
            _filled(self.colors, lengths, np.full((1, 4), 255, dtype=np.uint8)),
            tuple(self.shelf.materials),
            np.concatenate(self.kinds),
        )


def _is_mirrored(matrix: Matrix) -> bool:
    """Whether it turns faces inside out."""
    with np.errstate(all="ignore"):
        return bool(np.linalg.det(np.nan_to_num(matrix[:3, :3], posinf=1, neginf=1)) < 0)


def _coordinates(uvs: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        return np.nan_to_num(uvs.astype(np.float32), posinf=0, neginf=0)


def _filled(
    pieces: list[NDArray[_Row] | None], lengths: list[int], filler: NDArray[_Row]
) -> NDArray[_Row] | None:
    """Join what pieces carry; where some carry nothing, the filler stands."""
    if all(piece is None for piece in pieces):
        return None
    return np.concatenate(
        [
            np.repeat(filler, length, axis=0) if piece is None else piece
            for piece, length in zip(pieces, lengths, strict=True)
        ]
    )
