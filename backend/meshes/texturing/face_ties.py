"""Which of several faces that touch a pixel counts: the nearest, and of those the lowest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.parallel_rays import ParallelRays
from backend.meshes.texturing.screen_faces import (
    DEPTH_STEPS,
    INSIDE,
    ScreenFaces,
    barycentric,
    least,
)

_ON_EDGE = 1e-5  # weights below it may lie in a neighbour as well
_MOST_LAYERS = 8  # of faces looked at in one step of the depth
_GAP_SHARE = 1 / 256  # of a step: how far behind a face the next is looked for


class VertexFaces:
    """The faces around each vertex.

    Parameters
    ----------
    vertices : (m, 3) int64
        Corners of faces.
    """

    def __init__(self, vertices: NDArray[np.int64]) -> None:
        order = np.argsort(vertices, axis=None, kind="stable")
        self._faces = order // 3
        counts = np.bincount(vertices.reshape(-1))
        self._counts = counts
        self._starts = np.cumsum(counts) - counts

    def around(self, vertices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return each face around each of the vertices, and the position of that vertex."""
        counts = self._counts[vertices]
        rows = np.repeat(np.arange(len(vertices)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._faces[self._starts[vertices[rows]] + within], rows


def settle_ties(
    faces: ScreenFaces,
    around: VertexFaces,
    points: NDArray[np.float64],
    found: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose among the faces that meet in an edge or a vertex exactly at a point.

    Parameters
    ----------
    faces : ScreenFaces
    around : VertexFaces
        Of these faces.
    points : (k, 2) float64
        On the screen.
    found : (k,) int
        A face at each, by position in ``faces``.

    Returns
    -------
    chosen : (k,) int64
        By position as well.
    weights : (k, 3) float64
        Where on it, from 0 to 1.
    """
    chosen = found.astype(np.int64)
    weights, depths = barycentric(faces.corners[chosen], points)
    edge = np.flatnonzero(least(weights) < _ON_EDGE)
    corner = faces.vertices[chosen[edge], weights[edge].argmax(axis=1)]
    others, rows = around.around(corner)
    there, depth = barycentric(faces.corners[others], points[edge[rows]])
    inside = least(there) >= -INSIDE
    others, rows, there = others[inside], rows[inside], there[inside]
    steps = faces.depth_steps(depth[inside])
    order = np.lexsort((others, steps, rows))
    rows, first = np.unique(rows[order], return_index=True)
    best = order[first]
    nearer = steps[best] <= faces.depth_steps(depths[edge[rows]])
    best, rows = best[nearer], rows[nearer]
    chosen[edge[rows]] = others[best]
    weights[edge[rows]] = there[best]
    return chosen, _inside(weights)


def settle_depths(
    faces: ScreenFaces,
    rays: ParallelRays,
    points: NDArray[np.float64],
    chosen: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> None:
    """Prefer lower faces that lie behind the nearest, but in the same step of the depth.

    For steps so coarse that both sides of thin bodies fall into one.

    Parameters
    ----------
    faces : ScreenFaces
    rays : ParallelRays
        Of these faces.
    points : (k, 2) float64
        On the screen.
    chosen : (k,) int64
        The nearest face at each, by position in ``faces``; changed.
    weights : (k, 3) float64
        Where on it; changed.
    """
    nearest, furthest = faces.depth_range()
    step = (furthest - nearest) / DEPTH_STEPS
    _, starts = barycentric(faces.corners[chosen], points)
    steps = faces.depth_steps(starts)
    rows = np.arange(len(points))
    for _ in range(_MOST_LAYERS):
        starts += _GAP_SHARE * step
        found = rays.next_hits(points[rows], starts, step)
        met = np.flatnonzero(found >= 0)
        there, depths = barycentric(faces.corners[found[met]], points[rows[met]])
        same = faces.depth_steps(depths) == steps[rows[met]]
        met, there, depths = met[same], there[same], depths[same]
        rows, found, starts = rows[met], found[met], np.maximum(starts[met], depths)
        lower = (found < chosen[rows]) & (least(there) >= -INSIDE)
        chosen[rows[lower]] = found[lower]
        weights[rows[lower]] = _inside(there[lower])
        if not len(rows):
            return


def _inside(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(weights.T, 0.0, 1.0)
    return np.asarray((clipped / (clipped[0] + clipped[1] + clipped[2])).T)
