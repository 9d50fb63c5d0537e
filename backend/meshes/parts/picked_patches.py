"""Which patches of a surface a mask over points of it covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAJORITY = 0.5


def covered_patches(
    inside: NDArray[np.bool_], point_patches: NDArray[np.integer], patch_count: int
) -> list[int]:
    """Return the patches of which a mask covers more than half.

    Parameters
    ----------
    inside : (n,) bool
        Whether each point is in the mask; points lie evenly over the surface.
    point_patches : (n,) int
        The patch of each point.

    Returns
    -------
    list of int
        Rising. A patch without a point is in none.

    Examples
    --------
    >>> covered_patches(np.array([True, True, False, True, False]), np.array([0, 0, 0, 1, 1]), 3)
    [0]
    """
    covered = np.bincount(point_patches[inside], minlength=patch_count)
    points = np.bincount(point_patches, minlength=patch_count)
    return [int(patch) for patch in np.flatnonzero(covered > MAJORITY * points)]
