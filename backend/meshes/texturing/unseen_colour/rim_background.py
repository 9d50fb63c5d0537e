"""Background that a mask took for part of the object, found along its rim.

Colours of sides that nobody sees come from the rim of the picture: a mask that is two pixels too
wide would colour half of the object like the background.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.masks import Mask, bounds
from backend.meshes.texturing.unseen_colour.outward_colours import distance_inside, push_outwards

Rgb = NDArray[np.uint8]

REACH_SHARE, LEAST_REACH = 0.008, 4.0
"""How wide a rim is looked at, of the longest side of the picture, and in pixels."""
MIXED_PX = 2.0  # beside the mask colours may be mixed with those of the object
LEAST_GAP = 36.0  # between background and object, of 255; less cannot be told apart
BACKGROUND_SHARE = 0.5  # nearer to the background than so much of the gap


def without_background(rgb: Rgb, mask: Mask, core: Mask) -> Mask:
    """Take out of ``core`` what looks like the background beside it and not like what lies within.

    Only a narrow rim is looked at, and only what hangs together with the outside of the mask is
    taken out, together with the pixels that touch it.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask, core : (h, w) bool
        The object, and the part of it that is sure as far as its outline goes.

    Returns
    -------
    (h, w) bool
        ``core`` itself where there is no background beside it, or nothing within.
    """
    if mask.all() or not core.any():
        return core
    reach = max(LEAST_REACH, REACH_SHARE * max(mask.shape))
    spare = int(np.ceil(MIXED_PX)) + 2
    top, bottom, left, right = bounds(mask)
    box = (
        slice(max(0, top - spare), bottom + spare),
        slice(max(0, left - spare), right + spare),
    )
    found = _background(rgb[box], mask[box], reach)
    if found is None:
        return core
    kept = core.copy()
    kept[box] &= ~found
    return kept if kept.any() else core


def _background(rgb: Rgb, mask: Mask, reach: float) -> Mask | None:
    """Say which pixels of the rim are background; None where there is nothing to compare."""
    depth = distance_inside(mask)
    beside, within = distance_inside(~mask) > MIXED_PX, depth > reach
    if not beside.any() or not within.any():
        return None
    rim = mask & ~within
    colours = rgb[rim].astype(np.float32)
    outer, inner = (push_outwards(rgb, known)[rim].astype(np.float32) for known in (beside, within))
    gap = np.linalg.norm(outer - inner, axis=1)
    away = np.linalg.norm(colours - outer, axis=1)
    like = np.zeros(mask.shape, dtype=np.bool_)
    like[rim] = (gap > LEAST_GAP) & (away < BACKGROUND_SHARE * gap)
    numbers = cv2.connectedComponents((like | ~mask).astype(np.uint8), connectivity=4)[1]
    reached = np.unique(numbers[~mask])
    linked = like & np.isin(numbers, reached)
    if not linked.any():
        return None
    touching = cv2.dilate(linked.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0
    found: Mask = touching & rim
    return found
