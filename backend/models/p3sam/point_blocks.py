"""Blocks of near points, of which most need no look when one more point is chosen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from backend.models.sonata.serialization import codes

BLOCK_POINTS = 128
CELL_BITS = 7
ROUNDING = 1 - 1e-9


class PointBlocks:
    """How far each point is from those that were chosen, squared.

    Points are sorted along a curve that fills space and cut into blocks. A block whose box is
    farther from a new point than all its points are from older ones stays as it is, so results
    are those of looking at every point.

    Parameters
    ----------
    points : (n, 3) float64
        At least one.
    """

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._numbers = _blocks(points)
        self._axes = np.ascontiguousarray(points[self._numbers].transpose(2, 0, 1))
        self._low, self._high = self._axes.min(axis=2), self._axes.max(axis=2)
        self._nearest = np.full(self._numbers.shape, np.inf)
        self._farthest = np.full(len(self._numbers), np.inf)
        self._first = self._numbers[:, 0].copy()

    def farthest_after(self, point: NDArray[np.float64]) -> int:
        """Take a point as chosen, and tell which one is now the farthest; of equals the first."""
        place = point[:, None]
        outside = np.maximum(np.maximum(self._low - place, place - self._high), 0)
        near = (outside * outside).sum(axis=0) * ROUNDING <= self._farthest
        self._look_at(np.flatnonzero(near), point)
        equal = np.flatnonzero(self._farthest == self._farthest.max())
        return int(self._first[equal].min())

    def _look_at(self, blocks: NDArray[np.int64], point: NDArray[np.float64]) -> None:
        squared = self._axes[0, blocks] - point[0]
        squared *= squared
        for axis in (1, 2):
            added = self._axes[axis, blocks] - point[axis]
            added *= added
            squared += added
        np.minimum(squared, self._nearest[blocks], out=squared)
        self._nearest[blocks] = squared
        best = squared.argmax(axis=1)
        self._farthest[blocks] = squared[np.arange(len(blocks)), best]
        self._first[blocks] = self._numbers[blocks, best]


def _blocks(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sort points into blocks, (b, size); each in the order of numbers, some twice in the last."""
    low = points.min(axis=0)
    size = max(float((points.max(axis=0) - low).max()), np.finfo(np.float64).tiny)
    cells = ((points - low) / size * (2**CELL_BITS - 1)).astype(np.int64)
    order = codes(torch.from_numpy(cells), 0, CELL_BITS).argsort().numpy()
    size = min(BLOCK_POINTS, len(order))
    missing = -len(order) % size
    filled = np.concatenate([order, order[len(order) - 1 :].repeat(missing)])
    return np.sort(filled.reshape(-1, size), axis=1)
