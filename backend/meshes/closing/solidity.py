"""Whether a surface bounds a solid, as manifold3d and whoever reads the file will see it."""

from __future__ import annotations

import manifold3d
import numpy as np

from backend.meshes.closing.half_edges import Indices, Points, same_places
from backend.meshes.positions import numbered_positions
from backend.meshes.triangle_mesh import is_closed


def is_solid(points: Points, faces: Indices) -> bool:
    """Whether manifold3d takes it after equal positions are joined, as readers of files do.

    Parameters
    ----------
    points : (n, 3) float64
        Judged in float32, in which files keep them.
    faces : (m, 3) int64
    """
    places = same_places(points)
    corners = places[faces]
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    if len(corners) < 4:
        return False
    joined = np.zeros((int(places.max()) + 1, 3), dtype=np.float32)
    joined[places] = points
    solid = manifold3d.Manifold(manifold3d.Mesh(joined, corners.astype(np.uint32)))
    return bool(solid.status() == manifold3d.Error.NoError and not solid.is_empty())


def is_tight(points: Points, faces: Indices) -> bool:
    """Whether every edge has two faces, also for readers that join what almost touches."""
    corners = numbered_positions(points)[faces]
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    return bool(len(corners)) and is_closed(corners)


def face_volumes(points: Points, faces: Indices) -> Points:
    """Signed volume between each face and the middle, (m,) float64; add those of a closed body."""
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    a, b, c = (points[faces[:, corner]] - middle for corner in range(3))
    return np.asarray(np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)


def face_normals(points: Points, faces: Indices) -> Points:
    """Normals as long as the faces are large, (m, 3) float64."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    return np.asarray(np.cross(b - a, c - a) / 2)
