"""Regions of one colour that are scattered over an object: the panels of a ball, large spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask

LEAST_COUNT = 4
AREA_RATIO = 4.0
LEAST_SPREAD = 0.25
"""Of the object's height and of its width: windows and buttons stand in one row."""
LEAST_AREA_SHARE, SPECK_PX = 0.002, 6


def find_scattered(labels: NDArray[np.int32]) -> Mask:
    """Find regions that others of their colour and of about their area resemble, both ways.

    Parameters
    ----------
    labels : (h, w) int32
        Colours by number; 0 outside.

    Returns
    -------
    (h, w) bool
    """
    scattered = np.zeros(labels.shape, dtype=np.bool_)
    least_px = max(SPECK_PX, LEAST_AREA_SHARE * np.count_nonzero(labels))
    for colour in np.unique(labels[labels > 0]):
        regions, _ = ndimage.label(labels == colour)
        areas = np.bincount(regions.ravel())
        areas[0] = 0  # what is not of this colour
        large = np.flatnonzero(areas > least_px)
        if len(large) >= LEAST_COUNT:
            middles = np.array(ndimage.center_of_mass(regions > 0, regions, large))
            chosen = large[_have_others(areas[large], middles / labels.shape)]
            scattered |= np.isin(regions, chosen)
    return scattered


def _have_others(areas: NDArray[np.int64], middles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which regions have enough like them, far enough apart."""
    ratio = areas[:, None] / areas
    alike = (ratio <= AREA_RATIO) & (ratio >= 1 / AREA_RATIO)
    spread = [np.ptp(middles[others], axis=0).min() for others in alike]
    found: NDArray[np.bool_] = (alike.sum(axis=1) >= LEAST_COUNT) & (
        np.array(spread) >= LEAST_SPREAD
    )
    return found
