"""Cuts polygons into triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fan_count(lengths: NDArray[np.int64]) -> int:
    """Triangles that fans of polygons with so many corners have."""
    return int(np.maximum(lengths - 2, 0).sum())


def fan_triangles(corners: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Cut each polygon into a fan around its first corner, in order.

    Parameters
    ----------
    corners : (c,) int64
        The corners of all polygons, one polygon after the other.
    lengths : (p,) int64
        How many each has; those with fewer than three give nothing.

    Returns
    -------
    (m, 3) int32

    Examples
    --------
    >>> fan_triangles(np.array([0, 1, 2, 3, 7, 8, 9]), np.array([4, 3])).tolist()
    [[0, 1, 2], [0, 2, 3], [7, 8, 9]]
    """
    triangles = np.maximum(lengths - 2, 0)
    starts = np.repeat(np.cumsum(lengths) - lengths, triangles)
    within = np.arange(int(triangles.sum())) - np.repeat(
        np.cumsum(triangles) - triangles, triangles
    )
    first, second = corners[starts], starts + within + 1
    return np.stack([first, corners[second], corners[second + 1]], axis=1).astype(np.int32)
