"""A guess at the side nobody saw.

What reaches the outline is likely to go around: it is kept. What lies inside (a face, buttons, a
logo) is likely to be on the front only: it is painted over with the colours around it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask

Rgb = NDArray[np.uint8]

WORK_PX = 192
COLOURS, FIT_ROUNDS = 7, 20
RIM_SHARE = 0.03
LEAST_KEPT = 0.3
FEATHER_PX = 1.5
PLAIN_RIM_SHARE = 0.10
PLAIN_FADE = 0.08
BLUR_SHARES = (0.016, 0.040, 0.096, 0.240)
ENOUGH_WEIGHT = 0.02


def guess_back(front: Rgb, mask: Mask, *, plain: bool = False) -> Rgb:
    """Colour the back from the front.

    Parameters
    ----------
    front : (h, w, 3) uint8
        Picture whose colours were pushed out of the outline.
    mask : (h, w) bool
    plain : bool
        Keep nothing but the colours along the outline.
    """
    factor = max(1.0, max(mask.shape) / WORK_PX)
    size = (max(4, round(mask.shape[1] / factor)), max(4, round(mask.shape[0] / factor)))
    small = cv2.resize(front, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    if not inside.any():
        return front
    kept = rim(inside, PLAIN_RIM_SHARE) if plain else reaching_the_rim(small, inside)
    filled = _spread(small.astype(np.float32), kept, max(size))
    fill = cv2.resize(filled, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    share = _keep_share(kept, inside, plain)
    weight = cv2.resize(share, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    mixed = weight * front + (1 - weight) * fill
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.uint8)


def reaching_the_rim(rgb: Rgb, inside: Mask) -> Mask:
    """Find the parts of one colour that touch the outline; the rim where that is too little."""
    labels = _posterised(rgb, inside)
    edge = rim(inside, RIM_SHARE)
    kept = np.zeros_like(inside)
    for colour in range(COLOURS):
        parts, _ = ndimage.label(inside & (labels == colour))
        touching = np.unique(parts[edge])
        kept |= np.isin(parts, touching[touching > 0])
    if np.count_nonzero(kept) < LEAST_KEPT * np.count_nonzero(inside):
        return rim(inside, PLAIN_RIM_SHARE)
    return kept


def rim(inside: Mask, share: float) -> Mask:
    """Pixels near the outline: within ``share`` of the longest side, but not the thickest part."""
    distance = ndimage.distance_transform_edt(inside)
    reach = min(share * max(inside.shape), 0.5 * float(distance.max()))
    near: Mask = inside & (distance <= max(1.5, reach))
    return near


def _posterised(rgb: Rgb, inside: Mask) -> NDArray[np.int32]:
    """Index of the nearest of seven colours per pixel; lightness counts half, as light varies."""
    smooth = cv2.bilateralFilter(rgb, 7, 30, 5)
    lab = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) * (0.5, 1.0, 1.0)
    samples = np.ascontiguousarray(lab[inside], dtype=np.float32)
    labels = np.zeros(inside.shape, dtype=np.int32)
    if len(samples) <= COLOURS:
        return labels
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, FIT_ROUNDS, 0.5)
    _, found, _ = cv2.kmeans(samples, COLOURS, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    labels[inside] = np.asarray(found).ravel()
    return labels


def _keep_share(kept: Mask, inside: Mask, plain: bool) -> NDArray[np.float32]:
    """How much of the front shows per pixel, 0 to 1; everything outside, as nobody sees it."""
    if plain:
        depth = ndimage.distance_transform_edt(inside)
        return np.asarray(1 - np.clip(depth / (PLAIN_FADE * depth.max() + 1), 0, 1), np.float32)
    solid = ndimage.binary_erosion(kept | ~inside)
    soft = ndimage.gaussian_filter(solid.astype(np.float32), FEATHER_PX)
    return np.asarray(np.where(inside, soft, 1.0), dtype=np.float32)


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
