"""Meshes and masks with known answers."""

from __future__ import annotations

import numpy as np

from backend.meshes.triangle_mesh import TriangleMesh


def cube(side: float = 1.0) -> TriangleMesh:
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]  # fmt: skip
    return TriangleMesh.welded(np.array(corners) * side, np.array(faces))


def disc_mask(size: int = 128, radius: float = 40) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    return x**2 + y**2 < radius**2
