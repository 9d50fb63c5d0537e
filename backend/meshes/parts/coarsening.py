"""Fewer faces to look at; the surface itself keeps all of them."""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray

AGGRESSIVENESS = 7
FEWEST_FACES = 40


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
    fewer, corners = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=target, agg=AGGRESSIVENESS
    )
    if not len(corners):
        return vertices, faces
    return _compact(fewer.astype(np.float64), corners.astype(np.int64))


def _compact(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    used = np.zeros(len(vertices), dtype=np.bool_)
    used[faces.reshape(-1)] = True
    number = np.cumsum(used) - 1
    return vertices[used], number[faces]
