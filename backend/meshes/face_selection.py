"""A mesh of some faces of another."""

from __future__ import annotations

import numpy as np

from backend.meshes.triangle_mesh import Faces, TriangleMesh


def with_faces(mesh: TriangleMesh, faces: Faces) -> TriangleMesh:
    """Take other faces, (m, 3) int32, and leave out the vertices that none of them needs."""
    is_used = np.zeros(len(mesh.vertices), dtype=np.bool_)
    is_used[faces] = True
    numbers = np.cumsum(is_used, dtype=np.int32) - 1
    return TriangleMesh(mesh.vertices[is_used], numbers[faces].astype(np.int32))
