"""How backs were coloured before: what reaches the outline kept, the rest blurred over.

Kept only as what today's method is compared with.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask
from backend.meshes.texturing.unseen_colour.picture_islands import posterised

Rgb = NDArray[np.uint8]

WORK_PX = 192
RIM_SHARE, WIDE_RIM_SHARE = 0.03, 0.10
LEAST_KEPT = 0.3
FEATHER_PX = 1.5
BLUR_SHARES = (0.016, 0.040, 0.096, 0.240)
ENOUGH_WEIGHT = 0.02


def blurred_back(front: Rgb, mask: Mask) -> Rgb:
    """Guess a back, pixel by pixel behind the front.

    Parameters
    ----------
    front : (h, w, 3) uint8
        Picture whose colours were pushed out of the outline.
    mask : (h, w) bool
    """
    factor = max(1.0, max(mask.shape) / WORK_PX)
    size = (max(4, round(mask.shape[1] / factor)), max(4, round(mask.shape[0] / factor)))
    small = cv2.resize(front, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    kept = _reaching_the_rim(small, inside)
    filled = _spread(small.astype(np.float32), kept, max(size))
    fill = cv2.resize(filled, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    solid = ndimage.binary_erosion(kept | ~inside).astype(np.float32)
    share = np.where(inside, ndimage.gaussian_filter(solid, FEATHER_PX), 1.0).astype(np.float32)
    weight = cv2.resize(share, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    mixed = weight * front + (1 - weight) * fill
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.uint8)


def _reaching_the_rim(rgb: Rgb, inside: Mask) -> Mask:
    labels = posterised(rgb, inside)
    edge = _rim(inside, RIM_SHARE)
    kept = np.zeros_like(inside)
    for colour in np.unique(labels[inside]):
        parts, _ = ndimage.label(inside & (labels == colour))
        touching = np.unique(parts[edge])
        kept |= np.isin(parts, touching[touching > 0])
    if np.count_nonzero(kept) < LEAST_KEPT * np.count_nonzero(inside):
        return _rim(inside, WIDE_RIM_SHARE)
    return kept


def _rim(inside: Mask, share: float) -> Mask:
    distance = ndimage.distance_transform_edt(inside)
    reach = min(share * max(inside.shape), 0.5 * float(distance.max()))
    near: Mask = inside & (distance <= max(1.5, reach))
    return near


def _spread(colour: NDArray[np.float32], known: Mask, side: int) -> NDArray[np.float32]:
    """Blur known colours outwards at growing radii until every pixel has one."""
    total = np.zeros_like(colour)
    covered = np.zeros(known.shape, dtype=np.float32)
    for share in BLUR_SHARES:
        sigma = share * side
        weight = ndimage.gaussian_filter(known.astype(np.float32), sigma) + 1e-12
        blurred = ndimage.gaussian_filter(colour * known[..., None], (sigma, sigma, 0))
        gain = np.clip(weight / ENOUGH_WEIGHT, 0, 1) * (1 - covered)
        total += blurred / weight[..., None] * gain[..., None]
        covered += gain
    mean = colour[known].mean(axis=0)
    filled: NDArray[np.float32] = total + (1 - covered)[..., None] * mean
    return filled
