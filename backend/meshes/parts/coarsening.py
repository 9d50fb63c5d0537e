"""Fewer faces to look at; the surface itself keeps all of them."""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray

AGGRESSIVENESS = 7
FEWEST_FACES = 40
CLUSTERED_ABOVE_FACES = 300_000
CLUSTER_BITS = 8
"""A grid of 256 cells a side keeps many times the detail of what is looked at in the end."""


def coarsened(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], target_faces: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Reduce one body to about so many faces; it may open, which analysis does not mind.

    Parameters
    ----------
    vertices : (n, 3) float64
        From 0 to 1; those that no face uses are dropped.
    faces : (m, 3) int64
    target_faces : int
    """
    vertices, faces = _compact(vertices, faces)
    target = max(target_faces, FEWEST_FACES)
    if len(faces) <= target:
        return vertices, faces
    if len(faces) > CLUSTERED_ABOVE_FACES:
        vertices, faces = _clustered(vertices, faces)
    fewer, corners = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=target, agg=AGGRESSIVENESS
    )
    if not len(corners):
        return vertices, faces
    return _compact(fewer.astype(np.float64), corners.astype(np.int64))


def _clustered(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge the vertices in each cell of a grid in their mean: quicker than edge by edge.

    Source: J. Rossignac, P. Borrel, Multi-resolution 3D approximations for rendering complex
    scenes, 1993.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    scale = (2**CLUSTER_BITS - 1) / max(float((high - low).max()), 1e-300)
    x, y, z = ((vertices - low) * scale).astype(np.int32).T
    keys = (x << 2 * CLUSTER_BITS) | (y << CLUSTER_BITS) | z
    number = np.cumsum(np.bincount(keys, minlength=1) > 0) - 1
    cells = number[keys]
    counts = np.bincount(cells)
    means = np.column_stack([np.bincount(cells, axis) / counts for axis in vertices.T])
    corners = cells[faces]
    a, b, c = corners.T
    return means, corners[(a != b) & (b != c) & (c != a)]


def _compact(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    used = np.zeros(len(vertices), dtype=np.bool_)
    used[faces.reshape(-1)] = True
    number = np.cumsum(used) - 1
    return vertices[used], number[faces]
