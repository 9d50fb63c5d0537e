"""Which vertices lie in one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID_BITS = 21


def numbered_positions(vertices: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number the places of vertices from 0, (n,) int64.

    Places differ when they are more than a two-millionth of the longest side apart; one integer
    for each makes sorting them several times faster than comparing coordinates.

    Parameters
    ----------
    vertices : (n, 3) float
        Finite.
    """
    if not len(vertices):
        return np.zeros(0, dtype=np.int64)
    low = vertices.min(axis=0).astype(np.float64)
    size = float((vertices.max(axis=0) - low).max())
    scale = (2**GRID_BITS - 1) / size if size > 0 else 0.0
    cells = np.rint((vertices - low) * scale).astype(np.int64)
    keys = (cells[:, 0] << 2 * GRID_BITS) | (cells[:, 1] << GRID_BITS) | cells[:, 2]
    return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
