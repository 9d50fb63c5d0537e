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
from backend.meshes.picture_border import drop_frame_lines

Lab = NDArray[np.float32]

BORDER_SHARE = 0.02
PLAIN_DISTANCE = 10.0
MIN_TOLERANCE, MIN_TOLERANCE_DARK, FAINT_TOLERANCE = 6.0, 3.0, 2.0
DARK_LIGHT = 15.0
CORNER_SHARE, CORNER_SPREAD, CORNER_RING_SHARE, CORNER_PLAIN = 0.06, 12.0, 0.15, 0.8
LEAST_OBJECT, FAINT_NOISE = 0.002, 0.5
SHADOW_CHROMA, SHADOW_DROP, SHADOW_GRADIENT, SHADOW_MIN_LIGHT = 4.0, 0.45, 1.6, 40.0
HOLE_SHARE, HOLE_STRICTNESS, HOLE_FLAT = 0.0015, 0.6, 0.8
ISLAND_SHARE, PUPIL_SHARE = 0.03, 0.02
"""Of the largest island of an object: smaller ones are dropped. Of a hole: so much of it makes such
an island a pupil, not a speck."""
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
    ring = _ring(*lab.shape[:2])
    basis = _basis(ring, terms=6)
    inside, colours = basis[ring], lab[ring]
    weights = np.ones(len(inside), dtype=np.float32)
    for _ in range(4):
        weighted = weights[:, None]
        solution = np.linalg.lstsq(inside * weighted, colours * weighted, rcond=None)[0]
        distance = np.linalg.norm(colours - inside @ solution, axis=1)
        weights = 1 / (1 + (distance / (2 * (np.median(distance) + 1))) ** 2)
    return _model(basis, solution, ring, distance)


def fit_corners(lab: Lab) -> BorderModel | None:
    """Fit the border where an object cuts it: from the part that looks like the four corners.

    Returns
    -------
    BorderModel or None
        None when the corners differ from each other, as with a floor or in a busy picture.
    """
    side = max(4, round(CORNER_SHARE * min(lab.shape[:2])))
    corners = [lab[y, x].reshape(-1, 3) for y, x in _corner_slices(side)]
    medians = np.array([np.median(corner, axis=0) for corner in corners])
    if max(np.linalg.norm(medians - one, axis=1).max() for one in medians) > CORNER_SPREAD:
        return None
    ring = _ring(*lab.shape[:2])
    basis = _basis(ring, terms=3)
    inside, colours = basis[ring], lab[ring]
    like = np.linalg.norm(colours - medians.mean(axis=0), axis=1) < CORNER_SPREAD
    if like.mean() < CORNER_RING_SHARE:
        return None
    solution = np.linalg.lstsq(inside[like], colours[like], rcond=None)[0]
    distance = np.linalg.norm(colours - inside @ solution, axis=1)
    model = _model(basis, solution, ring, distance)
    off = np.linalg.norm(
        np.concatenate(corners) - medians.repeat([len(c) for c in corners], 0), axis=1
    )
    is_plain = float((off < PLAIN_DISTANCE).mean()) > CORNER_PLAIN
    noise = float(np.median(distance[like]))
    return BorderModel(model.background, ring, model.plain_share, noise) if is_plain else None


def plain_mask(lab: Lab, model: BorderModel) -> Mask:
    """Find the object on a plain background: what differs from the model and is no shadow.

    Where nothing differs much and the border is very even, small differences count too.
    """
    light = float(np.median(model.background[..., 0]))
    least = MIN_TOLERANCE_DARK if light < DARK_LIGHT else MIN_TOLERANCE
    difference = lab - model.background
    tolerance = max(3 * model.noise + 1.5, least)
    mask = _differing(difference, tolerance, _shadow(lab, model, difference, tolerance), model)
    if mask.mean() < LEAST_OBJECT and model.noise < FAINT_NOISE:
        return _differing(difference, FAINT_TOLERANCE, np.zeros_like(mask), model)
    return mask


def _differing(difference: Lab, tolerance: float, shadow: Mask, model: BorderModel) -> Mask:
    distance = np.linalg.norm(difference, axis=2)
    candidate = (distance < tolerance) | shadow
    background = _reached_from_border(candidate)
    holes = _holes(candidate & ~background, distance, tolerance, model.noise)
    background |= holes & ~_around_islands(holes, ~(background | holes))
    opened = ndimage.binary_opening(~background, iterations=1)
    return keep_large_islands(drop_frame_lines(opened), ISLAND_SHARE)


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


def _basis(ring: Mask, terms: int) -> Lab:
    """Give 1, x, y, x^2, y^2, xy of every pixel, the first ``terms`` of them, (h, w, terms)."""
    height, width = ring.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y][:terms], axis=-1)


def _model(
    basis: Lab, solution: NDArray[np.floating], ring: Mask, distance: NDArray[np.floating]
) -> BorderModel:
    shape = (*ring.shape, 3)
    background = (basis.reshape(-1, basis.shape[-1]) @ solution).reshape(shape)
    share = float((distance < PLAIN_DISTANCE).mean())
    return BorderModel(background.astype(np.float32), ring, share, float(np.median(distance)))


def _corner_slices(side: int) -> list[tuple[slice, slice]]:
    ends = slice(0, side), slice(-side, None)
    return [(y, x) for y in ends for x in ends]


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


def _holes(candidate: Mask, distance: NDArray[np.floating], tolerance: float, noise: float) -> Mask:
    """Enclosed parts of the background's colour; on a very even ground they must match it well."""
    close = HOLE_STRICTNESS * tolerance
    labels, count = ndimage.label(candidate & (distance < close))
    if count == 0:
        return np.zeros_like(candidate)
    limit = close if noise > FAINT_NOISE else 3 * noise + HOLE_FLAT
    typical = ndimage.median(distance, labels, np.arange(count + 1))
    sizes = np.bincount(labels.ravel())
    is_hole = (sizes > HOLE_SHARE * candidate.size) & (np.asarray(typical) < limit)
    is_hole[0] = False
    mask: Mask = is_hole[labels]
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


def _around_islands(holes: Mask, thing: Mask) -> Mask:
    """Find the holes around something too small to be an object: the white of eyes with pupils.

    Nothing floats in a hole: what would be dropped there belongs to the object, and so does what
    joins it to the rest.
    """
    islands, _ = ndimage.label(thing)
    sizes = np.bincount(islands.ravel())
    sizes[0] = 0
    small = (sizes > 0) & (sizes < ISLAND_SHARE * sizes.max())
    labels, _ = ndimage.label(holes)
    painted = np.zeros_like(holes)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        hole = labels[box] == number
        within = ndimage.binary_fill_holes(hole) & small[islands[box]]
        if np.count_nonzero(within) >= PUPIL_SHARE * np.count_nonzero(hole):
            painted[box] |= hole
    return painted
