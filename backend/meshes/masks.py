"""Pure functions on masks: which pixels belong to the object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)
PIN_HOLE_SHARE = 0.0004
CRUMB_SHARE = 0.004
SPONGE_HOLES, SPONGE_RADIUS_PX = 300, 3


def keep_large_islands(mask: Mask, min_share: float) -> Mask:
    """Drop islands smaller than ``min_share`` of the largest one.

    Parameters
    ----------
    mask : (h, w) bool
    min_share : float
        0 to 1.

    Returns
    -------
    (h, w) bool
    """
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = (sizes >= min_share * sizes.max())[labels] & mask
    return kept


def clean(mask: Mask) -> Mask:
    """Close one-pixel gaps, fill pin holes, drop crumbs; close a sponge for good."""
    padded = np.pad(mask, 8)
    closed = ndimage.binary_closing(padded, iterations=1)[8:-8, 8:-8]
    if ndimage.label(~closed)[1] > SPONGE_HOLES:
        closed = ndimage.binary_closing(padded, disc(SPONGE_RADIUS_PX))[8:-8, 8:-8]
    return keep_large_islands(fill_pin_holes(closed), CRUMB_SHARE)


def fill_pin_holes(mask: Mask) -> Mask:
    """Fill background islands below 0.04 % of the picture."""
    labels, count = ndimage.label(~mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    tiny = (sizes > 0) & (sizes < PIN_HOLE_SHARE * mask.size)
    filled: Mask = mask | tiny[labels]
    return filled


def thicken_thin(mask: Mask, width_px: float) -> Mask:
    """Widen strands thinner than ``width_px`` so that a coarse grid does not lose them.

    Parameters
    ----------
    mask : (h, w) bool
    width_px : float
        Smallest width that survives, in pixels.
    """
    radius = int(np.ceil(width_px / 2))
    if radius < 1:
        return mask
    ball = disc(radius)
    thin = mask & ~ndimage.binary_opening(mask, ball)
    strands = keep_long(thin, min_length_px=4 * width_px)
    if not strands.any():
        return mask
    widened: Mask = mask | ndimage.binary_dilation(strands, disc(max(1, radius - 1)))
    return widened


def keep_long(mask: Mask, min_length_px: float) -> Mask:
    """Keep islands whose bounding box has a side of at least ``min_length_px``."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    kept = np.zeros(count + 1, dtype=np.bool_)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        kept[index] = box is not None and max(s.stop - s.start for s in box) >= min_length_px
    long: Mask = kept[labels]
    return long


def disc(radius: int) -> Mask:
    """Make a round structuring element of side ``2 radius + 1``."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    round_: Mask = x * x + y * y <= radius * radius + radius * 0.5
    return round_


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Bounding box ``(top, bottom, left, right)`` of a non-empty mask, ends exclusive."""
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def longest_side(mask: Mask) -> int:
    """Longest side of the bounding box in pixels; 0 for an empty mask."""
    if not mask.any():
        return 0
    top, bottom, left, right = bounds(mask)
    return max(bottom - top, right - left)


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union, 1 for two empty masks."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def agreement(one: Mask, other: Mask, reach_px: float) -> float:
    """Agreement of two outlines that may be off by ``reach_px``, 0 to 1.

    The smaller of two shares: of ``one`` within reach of ``other``, and the reverse.
    """
    if not one.any() or not other.any():
        return float(one.any() == other.any())
    near_other = ndimage.distance_transform_edt(~other) <= reach_px
    near_one = ndimage.distance_transform_edt(~one) <= reach_px
    return float(min(near_other[one].mean(), near_one[other].mean()))
