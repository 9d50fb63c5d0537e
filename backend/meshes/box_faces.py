"""Which faces of a mesh belong to which box that was drawn around a part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.source_mesh import SourceMesh

NO_BOX = -1


def faces_by_box(mesh: SourceMesh, boxes: NDArray[np.floating]) -> NDArray[np.int32]:
    """Give each face to the box that holds its centre; to the smallest where several do.

    Parameters
    ----------
    boxes : (p, 2, 3) float
        Lowest and highest corners, in the coordinates of the mesh.

    Returns
    -------
    (m,) int32
        Number of the box; ``NO_BOX`` for faces whose centre is in none.
    """
    centres = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    order = np.argsort(centres[:, 0])
    sorted_x = centres[order, 0]
    found = np.full(len(centres), NO_BOX, dtype=np.int32)
    for number in _largest_first(boxes).tolist():
        low, high = boxes[number].astype(np.float64)
        first, last = np.searchsorted(sorted_x, low[0]), np.searchsorted(sorted_x, high[0], "right")
        near = order[first:last]
        is_inside = ((centres[near] >= low) & (centres[near] <= high)).all(axis=1)
        found[near[is_inside]] = number
    return found


def _largest_first(boxes: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order boxes by volume, flat ones by their diagonal; of equal ones the first comes last."""
    sides = (boxes[:, 1] - boxes[:, 0]).astype(np.float64)
    diagonals = np.linalg.norm(sides, axis=1)
    smallest_first = np.lexsort((diagonals, sides.prod(axis=1)))
    return smallest_first[::-1]
