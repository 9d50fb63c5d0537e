"""Colours of an object carried beyond its outline, so that no background gets onto the model."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.masks import Mask

Rgb = NDArray[np.uint8]

ERODE_SHARE = 0.003


def sure_inside(mask: Mask, edge_px: float = 0.0) -> Mask:
    """Find the pixels that show the object alone: the mask without its rim.

    Parameters
    ----------
    mask : (h, w) bool
    edge_px : float
        How far object and background run into each other; more than 1 in enlarged pictures.

    Returns
    -------
    (h, w) bool
        Strands too thin to have an inside are kept whole; where the object is cut off by the
        border of the picture there is no rim.
    """
    radius = max(1.0, ERODE_SHARE * max(mask.shape), edge_px)
    core = distance_inside(mask) > radius
    far = distance_inside(~core) > 2 * radius + 2
    kept: Mask = core | (mask & far)
    return kept


def push_outwards(rgb: Rgb, core: Mask) -> Rgb:
    """Replace everything outside ``core`` by the nearest colour inside.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    core : (h, w) bool
        As ``sure_inside`` gives it; with nothing in it the picture stays as it is.
    """
    if not core.any():
        return rgb
    outside = (~core).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_number = np.zeros((int(nearest.max()) + 1, 3), dtype=np.uint8)
    by_number[nearest[core]] = rgb[core]
    pushed: Rgb = by_number[nearest]
    return pushed


def distance_inside(mask: Mask) -> NDArray[np.float32]:
    """Distance in pixels of each pixel of the mask to its edge, to a few hundredths.

    The border of the picture is no edge; in a mask without any edge it is far away.
    """
    if mask.all():
        return np.full(mask.shape, max(mask.shape), dtype=np.float32)
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
