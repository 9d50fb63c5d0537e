"""Gaps in a picture whose rims are of many colours: nothing tells what would close them.

A logo on a shirt has cloth all around it, and cloth goes on behind. The front of a castle has
roofs, walls and trees around it: what could be put there instead is worse than what is there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask

RIM_PX, LEAST_RIM_PX = 8, 30
SETTLED_SHARE = 0.5
"""Of the rim, what one colour must hold for it to go on."""


def find_mixed_rims(gaps: Mask, labels: NDArray[np.int32], least_share: float) -> Mask:
    """Find the gaps of some size around which no colour holds half of the rim.

    Parameters
    ----------
    gaps : (h, w) bool
    labels : (h, w) int32
        Colours by number; 0 outside.
    least_share : float
        Of the object, what a gap must have to be asked about.

    Returns
    -------
    (h, w) bool
        All of these gaps.
    """
    regions, count = ndimage.label(gaps)
    areas = np.bincount(regions.ravel(), minlength=count + 1)
    least_px = max(1.0, least_share * np.count_nonzero(labels))
    is_mixed = np.zeros(count + 1, dtype=np.bool_)
    for region in 1 + np.flatnonzero(areas[1:] >= least_px):
        rim = ndimage.binary_dilation(regions == region, iterations=RIM_PX) & ~gaps
        held = np.bincount(labels[rim & (labels > 0)])
        total = held.sum()
        is_mixed[region] = total >= LEAST_RIM_PX and held.max() < SETTLED_SHARE * total
    found: Mask = is_mixed[regions]
    return found
