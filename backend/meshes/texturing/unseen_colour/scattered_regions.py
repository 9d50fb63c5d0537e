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
BESIDE_PX = 3


def find_scattered(labels: NDArray[np.int32]) -> Mask:
    """Find regions that others of their colour resemble, both ways over the object.

    They must have about the same area, and lie in the same colour: the eyes of a doll are none of
    the dark spots of its clothes.

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
            beside = _beside(labels, regions, large)
            chosen = large[_have_others(areas[large], beside, middles / labels.shape)]
            scattered |= np.isin(regions, chosen)
    return scattered


def _beside(
    labels: NDArray[np.int32], regions: NDArray[np.integer], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the colour that each region has most around it, (n,); 0 where it fills the object."""
    boxes = ndimage.find_objects(regions)
    found = []
    for region in chosen:
        near = tuple(
            slice(max(0, one.start - BESIDE_PX), one.stop + BESIDE_PX) for one in boxes[region - 1]
        )
        mine = regions[near] == region
        rim = ndimage.binary_dilation(mine, iterations=BESIDE_PX) & ~mine & (labels[near] > 0)
        found.append(np.bincount(labels[near][rim], minlength=1).argmax())
    return np.array(found)


def _have_others(
    areas: NDArray[np.int64], beside: NDArray[np.int64], middles: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say which regions have enough like them, far enough apart."""
    ratio = areas[:, None] / areas
    alike = (ratio <= AREA_RATIO) & (ratio >= 1 / AREA_RATIO) & (beside[:, None] == beside)
    spread = [np.ptp(middles[others], axis=0).min() for others in alike]
    found: NDArray[np.bool_] = (alike.sum(axis=1) >= LEAST_COUNT) & (
        np.array(spread) >= LEAST_SPREAD
    )
    return found
