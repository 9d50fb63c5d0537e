"""Moves parts apart, so that what they hide can be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPREAD = 0.7


def explosion_offsets(boxes: NDArray[np.floating], spread: float = SPREAD) -> NDArray[np.float64]:
    """Say how far each part moves; parts that still overlap are not told apart.

    Parameters
    ----------
    boxes : (p, 2, 3) float
        Lowest and highest corner of each part.
    spread : float
        Share of the distance of a part's middle from the middle of the whole.

    Returns
    -------
    (p, 3) float64

    Examples
    --------
    >>> left, right = [[0, 0, 0], [1, 1, 1]], [[1, 0, 0], [3, 1, 1]]
    >>> explosion_offsets([left, right])[:, 0].round(2).tolist()
    [-0.7, 0.35]
    """
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 3)
    if not len(corners):
        return np.zeros((0, 3))
    whole = (corners[:, 0].min(axis=0) + corners[:, 1].max(axis=0)) / 2
    return np.asarray(spread * (corners.mean(axis=1) - whole))
