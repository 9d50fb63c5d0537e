"""What it costs to move a vertex: squared distances from the planes around it."""

from __future__ import annotations

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.solidity import face_normals
from backend.meshes.decimation.edge_table import FREE, EdgeTable

LINE_WEIGHT = 10.0
_PAIRS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


def vertex_quadrics(points: Points, faces: Indices, edges: EdgeTable) -> Points:
    """Return the ten coefficients of the quadric of each vertex, (p, 10) float64.

    Parameters
    ----------
    points : (p, 3) float64
    faces : (m, 3) int64

    Notes
    -----
    Along borders and seams a plane stands on the surface, so that they keep their course.

    Source
    ------
    Garland, Heckbert, "Surface simplification using quadric error metrics", 1997.
    """
    normals = face_normals(points, faces)
    areas = np.linalg.norm(normals, axis=1)
    units = normals / np.maximum(areas, 1e-300)[:, None]
    quadrics = np.zeros((len(points), 10))
    planes = _planes(units, points[faces[:, 0]])
    for corner in range(3):
        _add(quadrics, faces[:, corner], planes, areas)
    special = np.flatnonzero(edges.lines != FREE)
    start, stop = edges.ends[special].T
    along = points[stop] - points[start]
    upright = np.cross(along, units[edges.sides[special, 0] // 3])
    lengths = np.linalg.norm(upright, axis=1)
    walls = _planes(upright / np.maximum(lengths, 1e-300)[:, None], points[start])
    for end in (start, stop):
        _add(quadrics, end, walls, LINE_WEIGHT * lengths**2)
    return quadrics


def monomials(points: Points) -> Points:
    """Return what coefficients are multiplied with, (p, 10) float64: the sum is the cost."""
    wide = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return np.stack([(1 if i == j else 2) * wide[:, i] * wide[:, j] for i, j in _PAIRS], axis=1)


def _planes(units: Points, through: Points) -> Points:
    """Return (n, 4): unit normal and offset."""
    return np.concatenate([units, -np.sum(units * through, axis=1)[:, None]], axis=1)


def _add(quadrics: Points, vertices: Indices, planes: Points, weights: Points) -> None:
    for column, (i, j) in enumerate(_PAIRS):
        values = weights * planes[:, i] * planes[:, j]
        quadrics[:, column] += np.bincount(vertices, values, minlength=len(quadrics))
