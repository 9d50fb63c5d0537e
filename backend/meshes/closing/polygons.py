"""Triangles of flat polygons with holes."""

from __future__ import annotations

from collections.abc import Sequence

import mapbox_earcut
import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points

JITTER = 1e-7  # of the size; ear clipping leaves out points that lie exactly on a line


def clip_ears(rings: Sequence[Points]) -> Indices | None:
    """Triangulate a polygon by ear clipping.

    Parameters
    ----------
    rings : sequence of (k, 2) float64
        The outline, counter-clockwise, and holes, clockwise.

    Returns
    -------
    (t, 3) int64 or None
        Corners into the joined rings, counter-clockwise. None when the outline crosses itself or
        a hole: the triangles would overlap or not be as many as a simple polygon has.
    """
    points = np.concatenate(rings)
    noise = np.random.default_rng(0).uniform(-1, 1, points.shape)
    points = np.ascontiguousarray(points + JITTER * float(np.ptp(points, axis=0).max()) * noise)
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
    found = mapbox_earcut.triangulate_float64(points, ends).reshape(-1, 3).astype(np.int64)
    if len(found) != len(points) + 2 * (len(rings) - 1) - 2:
        return None
    areas = doubled_areas(points, found)
    if areas.sum() < 0:
        found, areas = found[:, ::-1], -areas
    return found if bool((areas > 0).all()) else None


def doubled_areas(points: Points, faces: Indices) -> Points:
    """Twice the signed area of each triangle, (t,) float64; positive is counter-clockwise."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    first, second = b - a, c - a
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def inside(polygon: Points, points: Points) -> NDArray[np.bool_]:
    """Whether points lie inside a polygon, (p,) bool; counts crossings to the right."""
    x, y = points[:, 0, None], points[:, 1, None]
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    spans = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    crosses = spans & (x < x0 + (y - y0) * (x1 - x0) / rise)
    return np.asarray(crosses.sum(axis=1) % 2 == 1)
