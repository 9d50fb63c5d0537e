"""Telling an object from its background by colour: a border model, and GrabCut.

Pictures are (h, w, 3) float32 in CIE Lab; masks are (h, w) bool.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask, keep_large_islands

Lab = NDArray[np.float32]

BORDER_SHARE = 0.02
PLAIN_DISTANCE = 10.0
MIN_TOLERANCE = 6.0
SHADOW_CHROMA, SHADOW_DROP, SHADOW_GRADIENT, SHADOW_MIN_LIGHT = 4.0, 0.45, 1.6, 40.0
HOLE_SHARE, HOLE_STRICTNESS = 0.0015, 0.6
GRABCUT_PX, GRABCUT_ROUNDS, BORDER_CLUSTERS = 256, 6, 6


@dataclass(frozen=True)
class BorderModel:
    """A smooth surface of colour through the border of a picture.

    Parameters
    ----------
    background : (h, w, 3) float32
        The colour the background would have at every pixel.
    ring : (h, w) bool
        The border the model was fitted to.
    plain_share : float
        Share of border pixels within 10 Lab units of the model.
    noise : float
        Median distance of border pixels from the model.
    """

    background: Lab
    ring: Mask
    plain_share: float
    noise: float


def to_lab(rgb: NDArray[np.uint8]) -> Lab:
    """Convert 8-bit RGB to Lab and smooth it without moving edges."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    return np.asarray(cv2.bilateralFilter(lab, 5, 8, 3), dtype=np.float32)


def fit_border(lab: Lab) -> BorderModel:
    """Fit a quadratic surface to the border ring, four rounds of reweighting."""
    height, width = lab.shape[:2]
    ring = _ring(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    basis = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    inside, colours = basis[ring], lab[ring]
    weights = np.ones(len(inside), dtype=np.float32)
    for _ in range(4):
        weighted = weights[:, None]
        solution = np.linalg.lstsq(inside * weighted, colours * weighted, rcond=None)[0]
        distance = np.linalg.norm(colours - inside @ solution, axis=1)
        weights = 1 / (1 + (distance / (2 * (np.median(distance) + 1))) ** 2)
    background = (basis.reshape(-1, 6) @ solution).reshape(lab.shape).astype(np.float32)
    return BorderModel(
        background,
        ring,
        float((distance < PLAIN_DISTANCE).mean()),
        float(np.median(distance)),
    )


def plain_mask(lab: Lab, model: BorderModel) -> Mask:
    """Find the object on a plain background: what differs from the model and is no shadow."""
    difference = lab - model.background
    distance = np.linalg.norm(difference, axis=2)
    tolerance = max(3 * model.noise + 1.5, MIN_TOLERANCE)
    candidate = (distance < tolerance) | _shadow(lab, model, difference, tolerance)
    background = _reached_from_border(candidate)
    background |= _holes(candidate & ~background & (distance < tolerance * HOLE_STRICTNESS))
    opened = ndimage.binary_opening(~background, iterations=1)
    return keep_large_islands(opened, 0.03)


def grabcut_mask(rgb: NDArray[np.uint8], lab: Lab, ring: Mask) -> Mask:
    """Find the object in a cluttered picture: GrabCut seeded by rare colours near the centre."""
    labels = _seeds(lab, ring)
    height, width = labels.shape
    scale = GRABCUT_PX / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(rgb[..., ::-1], size, interpolation=cv2.INTER_AREA)
    seeds = np.ascontiguousarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(small), seeds, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK
    )
    found = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.float32)
    mask = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    opened = ndimage.binary_opening(mask, iterations=2)
    return np.asarray(ndimage.binary_fill_holes(keep_large_islands(opened, 0.15)), dtype=np.bool_)


def _ring(height: int, width: int) -> Mask:
    thickness = max(3, round(BORDER_SHARE * max(height, width)))
    ring = np.ones((height, width), dtype=np.bool_)
    ring[thickness:-thickness, thickness:-thickness] = False
    return ring


def _shadow(lab: Lab, model: BorderModel, difference: Lab, tolerance: float) -> Mask:
    """Pixels of the background's hue, darker, and without texture."""
    chroma = np.linalg.norm(difference[..., 1:], axis=2)
    light = model.background[..., 0]
    darker = -difference[..., 0]
    gradient = ndimage.gaussian_gradient_magnitude(lab[..., 0], 1.2)
    shadow: Mask = (
        (chroma < max(SHADOW_CHROMA, 0.7 * tolerance))
        & (darker > 0)
        & (darker < SHADOW_DROP * light)
        & (gradient < SHADOW_GRADIENT)
        & (light > SHADOW_MIN_LIGHT)
    )
    return shadow


def _reached_from_border(candidate: Mask) -> Mask:
    labels, count = ndimage.label(candidate)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    reached = np.zeros(count + 1, dtype=np.bool_)
    reached[border] = True
    reached[0] = False
    mask: Mask = reached[labels]
    return mask


def _holes(candidate: Mask) -> Mask:
    labels, _ = ndimage.label(candidate)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask: Mask = (sizes > HOLE_SHARE * candidate.size)[labels]
    return mask


def _seeds(lab: Lab, ring: Mask) -> NDArray[np.uint8]:
    """Seed labels for GrabCut: rare colours near the centre are object, the ring is not."""
    height, width = ring.shape
    y, x = np.mgrid[0:height, 0:width]
    off_x, off_y = (x - width / 2) / (0.33 * width), (y - height / 2) / (0.36 * height)
    score = (0.4 + 0.6 * _rarity(lab, ring)) * np.exp(-(off_x**2 + off_y**2))
    labels = np.full((height, width), cv2.GC_PR_BGD, dtype=np.uint8)
    labels[score > np.quantile(score, 0.6)] = cv2.GC_PR_FGD
    labels[score > np.quantile(score, 0.93)] = cv2.GC_FGD
    labels[ring | (score < np.quantile(score, 0.15))] = cv2.GC_BGD
    return labels


def _rarity(lab: Lab, ring: Mask) -> NDArray[np.float32]:
    """Distance to the nearest of six border colours, 0 to 1."""
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    cv2.setRNGSeed(0)
    samples = np.ascontiguousarray(lab[ring])
    _, _, centres = cv2.kmeans(
        samples,
        BORDER_CLUSTERS,
        None,
        criteria,
        2,
        cv2.KMEANS_PP_CENTERS,
    )
    nearest = np.full(ring.shape, np.inf, dtype=np.float32)
    for centre in np.asarray(centres):
        nearest = np.minimum(nearest, np.linalg.norm(lab - centre, axis=2))
    rarity: NDArray[np.float32] = np.clip(nearest / 30, 0, 1)
    return rarity
