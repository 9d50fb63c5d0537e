"""The mesh every stage hands on: welded triangles, float32 positions, no duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.meshes.equal_rows import equal_rows

if TYPE_CHECKING:
    import trimesh

Vertices = NDArray[np.float32]
Faces = NDArray[np.int32]
Normals = NDArray[np.float32]


@dataclass(frozen=True)
class TriangleMesh:
    """A welded triangle mesh.

    Parameters
    ----------
    vertices : (n, 3) float32
        Positions; +Y is up, +Z faces the viewer of the picture.
    faces : (m, 3) int32
        Corners, counter-clockwise seen from outside.
    """

    vertices: Vertices
    faces: Faces

    @classmethod
    def welded(cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> TriangleMesh:
        """Round to float32, merge equal positions, drop faces that collapse."""
        rounded = np.ascontiguousarray(vertices, dtype=np.float32) + np.float32(0)  # no -0
        unique, _, number = equal_rows(rounded)
        corners = number[faces]
        a, b, c = corners.T
        corners = corners[(a != b) & (b != c) & (c != a)]
        used, compact = np.unique(corners, return_inverse=True)
        return cls(unique[used], compact.reshape(-1, 3).astype(np.int32))

    @property
    def extents(self) -> NDArray[np.float32]:
        """Size along x, y, z."""
        size: NDArray[np.float32] = np.ptp(self.vertices, axis=0)
        return size

    def with_vertices(self, vertices: NDArray[np.floating]) -> TriangleMesh:
        """Move the vertices, keep the faces."""
        return TriangleMesh(np.asarray(vertices, dtype=np.float32), self.faces)

    def as_trimesh(self) -> trimesh.Trimesh:
        """View it as a trimesh object, untouched."""
        import trimesh  # half a second, which not everybody needs

        return trimesh.Trimesh(self.vertices, self.faces, process=False)

    def is_closed(self) -> bool:
        """Whether every edge joins exactly two faces, once in each direction."""
        return bool(len(self.faces)) and is_closed(self.faces)

    def volume(self) -> float:
        """Signed volume; positive when the faces look outwards."""
        corners = self.vertices.astype(np.float64)[self.faces]
        cross = np.cross(corners[:, 1], corners[:, 2])
        return float(np.einsum("ij,ij->", corners[:, 0], cross) / 6)


def is_closed(faces: NDArray[np.integer]) -> bool:
    """Whether every directed edge appears once and its reverse once."""
    start = faces[:, [0, 1, 2]].reshape(-1).astype(np.int64)
    stop = faces[:, [1, 2, 0]].reshape(-1).astype(np.int64)
    span = int(faces.max()) + 1
    forward = np.sort(start * span + stop)
    backward = np.sort(stop * span + start)
    once = bool((forward[1:] != forward[:-1]).all())
    return once and bool((forward == backward).all())


def vertex_normals(mesh: TriangleMesh) -> Normals:
    """Area-weighted unit normals per vertex, (n, 3) float32."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(mesh.vertices), 3))
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                mesh.faces[:, corner], weights=cross[:, axis], minlength=len(normals)
            )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    return np.where(length > 0, normals / np.maximum(length, 1e-300), up).astype(np.float32)
