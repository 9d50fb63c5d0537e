"""Normals to light a mesh by: smooth across seams of the texture, sharp where it was split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.positions import numbered_positions
from backend.meshes.triangle_mesh import Normals

SMOOTH_WITHIN_DEGREES = 30.0
_UP = np.array([0.0, 1.0, 0.0], dtype=np.float32)


def shading_normals(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Normals:
    """Return a unit normal per vertex, (n, 3) float32.

    Vertices in one place share the normal of all faces there, unless that is more than 30 degrees
    from the normal of their own faces: files hold the vertices of sharp edges apart.

    Parameters
    ----------
    vertices : (n, 3) float32
    faces : (m, 3) int32
    """
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own = _sums(faces, cross, len(vertices))
    places = numbered_positions(vertices)
    count = int(places.max(initial=-1)) + 1
    shared = np.zeros((count, 3))
    for axis in range(3):
        shared[:, axis] = np.bincount(places, weights=own[:, axis], minlength=count)
    together = _unit(shared)[places]
    alone = _unit(own)
    near = np.einsum("ij,ij->i", together, alone) >= np.cos(np.radians(SMOOTH_WITHIN_DEGREES))
    return np.where(near[:, None], together, alone).astype(np.float32)


def _sums(faces: NDArray[np.int32], cross: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Add the normals of faces, by area, to their corners, (n, 3)."""
    sums = np.zeros((count, 3))
    for axis in range(3):
        for corner in range(3):
            sums[:, axis] += np.bincount(faces[:, corner], weights=cross[:, axis], minlength=count)
    return sums


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 0, vectors / np.maximum(lengths, 1e-300), _UP)
