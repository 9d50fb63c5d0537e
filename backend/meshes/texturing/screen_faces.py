"""Faces on the screen that can cover a pixel, and where a point lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEPTH_STEPS = 1 << 20  # over the range of depths; in the same step the lower face counts
INSIDE = 1e-9  # how far below 0 rounding takes the weights of a point on an edge
_PUBLISHED_STEP = (100.0 - 0.1) / (1 << 18)  # 2^18 between the planes at 0.1 and 100
# Where steps end was found from recorded pixels, which leave 0.29 to 0.435 of a step.
_PUBLISHED_NEAREST = 0.1 - (1 - 0.43) * _PUBLISHED_STEP
PUBLISHED_DEPTHS = (_PUBLISHED_NEAREST, _PUBLISHED_NEAREST + _PUBLISHED_STEP * DEPTH_STEPS)
_NEEDLE = 1e-12  # area over squared length, below which only rounding gives a face an area


@dataclass(frozen=True)
class ScreenFaces:
    """Faces with an area on the screen.

    Parameters
    ----------
    corners : (m, 3, 3) float64
        x to the right, y down and depth of each corner.
    vertices : (m, 3) int64
        Numbers of the corners.
    numbers : (m,) int64
        Which of the mesh's faces each is, ascending.
    depths : (float, float) or None
        Depths between which steps are counted; the least and the largest when not given.
    """

    corners: NDArray[np.float64]
    vertices: NDArray[np.int64]
    numbers: NDArray[np.int64]
    depths: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def extent(self) -> tuple[float, float]:
        """Return the least and the largest depth; 0 and 0 without faces."""
        if not len(self):
            return 0.0, 0.0
        depths = self.corners[..., 2]
        return float(depths.min()), float(depths.max())

    def depth_range(self) -> tuple[float, float]:
        """Return the depths between which there are so many steps as `DEPTH_STEPS`."""
        return self.depths or self.extent()

    def depth_steps(self, depths: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number depths from near to far; those nearly equal get the same number."""
        nearest, furthest = self.depth_range()
        scale = DEPTH_STEPS / max(furthest - nearest, 1e-300)
        return np.clip((depths - nearest) * scale, 0, DEPTH_STEPS).astype(np.int64)


def screen_faces(
    screen: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    cull: bool,
    depths: tuple[float, float] | None = None,
) -> ScreenFaces:
    """Keep the faces that can cover a pixel; those with the same corners only once.

    Parameters
    ----------
    screen : (n, 3) float
    faces : (m, 3) int
    cull : bool
        Leave out faces whose corners run clockwise.
    depths : (float, float) or None
        As in `ScreenFaces`.
    """
    vertices = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
    corners = np.asarray(screen, dtype=np.float64)[vertices]
    sides = corners[:, [1, 2, 0], :2] - corners[..., :2]
    area = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    longest = np.square(sides).sum(axis=2).max(axis=1, initial=0.0)
    kept = (np.abs(area) > _NEEDLE * longest) & np.isfinite(corners).all(axis=(1, 2))
    if cull:
        kept &= area < 0  # y runs down
    numbers = np.flatnonzero(kept)
    numbers = numbers[_first_of_doubles(vertices[numbers])]
    return ScreenFaces(corners[numbers], vertices[numbers], numbers, depths)


def _first_of_doubles(vertices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, ascending, the first of each group of faces with the same three corners."""
    low, middle, high = np.sort(vertices, axis=1).T
    order = np.lexsort((high, middle, low))  # keeps the order of equals
    triples = np.stack([low, middle, high], axis=1)[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (triples[1:] != triples[:-1]).any(axis=1)
    return np.sort(order[is_first])


def barycentric(
    corners: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say where points lie in faces.

    Parameters
    ----------
    corners : (k, 3, 3) float64
    points : (k, 2) float64
        On the screen, one for each face.

    Returns
    -------
    weights : (k, 3) float64
        Of the corners; all of them from 0 to 1 inside the face.
    depths : (k,) float64
    """
    ax, bx, cx = (corners[:, corner, 0] - points[:, 0] for corner in range(3))
    ay, by, cy = (corners[:, corner, 1] - points[:, 1] for corner in range(3))
    weights = np.stack([bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx])
    weights /= weights[0] + weights[1] + weights[2]
    depths = weights[0] * corners[:, 0, 2]
    for corner in (1, 2):
        depths += weights[corner] * corners[:, corner, 2]
    return weights.T, depths


def least(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest of the three weights of each point, (k,)."""
    smallest: NDArray[np.float64] = np.minimum(
        np.minimum(weights[:, 0], weights[:, 1]), weights[:, 2]
    )
    return smallest
