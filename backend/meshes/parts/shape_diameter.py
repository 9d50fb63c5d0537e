"""How thick a body is behind each face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags, identity

from backend.meshes.parts.rays import RayScene, cone_directions, turned_to
from backend.meshes.parts.surface import Surface

RAYS = 25
HALF_ANGLE_RAD = np.radians(60)
LEAST_ANGLE_RAD = np.radians(5)
LIFT = 1e-5
FACES_AT_ONCE = 20_000
SMOOTHING_ROUNDS = 3
CONVEX_SHARE = 0.2
SOFT_TURN_RAD = 0.5
LOG_STEEPNESS = 4.0
CLIPPED_PERCENT = 0.5


def shape_diameter(surface: Surface, scene: RayScene) -> NDArray[np.float64]:
    """Measure the thickness behind each face.

    Rays in a cone about the inward normal; only those count that leave through the back of a face
    and whose length lies within one deviation of the median. Weight: 1 / angle.

    Returns
    -------
    (m,) float64
        Smoothed over neighbours, weakly across sharp edges. The median of all where no ray
        counted, 0 where none counted anywhere.

    Source
    ------
    Shapira, Shamir, Cohen-Or, "Consistent mesh partitioning and skeletonisation using the shape
    diameter function", The Visual Computer 24 (2008).
    """
    starts = range(0, len(surface.faces), FACES_AT_ONCE)
    blocks = [_block(surface, scene, slice(at, at + FACES_AT_ONCE)) for at in starts]
    measured = np.concatenate(blocks) if blocks else np.zeros(0)
    known = np.isfinite(measured)
    middle = float(np.median(measured[known])) if known.any() else 0.0
    return _smooth(np.where(known, measured, middle), surface)


def normalised(diameter: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring diameters to 0..1 on a logarithmic scale that parts thin things finely."""
    low, high = np.percentile(diameter, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT])
    share = np.clip((diameter - low) / max(high - low, 1e-12), 0, 1)
    return np.asarray(np.log1p(LOG_STEEPNESS * share) / np.log1p(LOG_STEEPNESS))


def _block(surface: Surface, scene: RayScene, block: slice) -> NDArray[np.float64]:
    centres, normals = surface.centres[block], surface.normals[block]
    cone, angles = cone_directions(RAYS, float(HALF_ANGLE_RAD))
    directions = turned_to(-normals, cone)
    origins = np.repeat(centres - LIFT * normals, RAYS, axis=0)
    flat = directions.reshape(-1, 3)
    lengths, met = scene.first_hits(origins, flat)
    leaves = np.einsum("ij,ij->i", surface.normals[np.maximum(met, 0)], flat) > 0
    counts = ((met >= 0) & leaves).reshape(-1, RAYS)
    return _robust_mean(
        lengths.reshape(-1, RAYS).astype(np.float64),
        counts,
        1 / np.maximum(angles, LEAST_ANGLE_RAD),
    )


def _robust_mean(
    lengths: NDArray[np.float64], counts: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average within one deviation of the median; NaN where nothing counts."""
    number = counts.sum(axis=1)
    known = np.where(counts, lengths, np.inf)
    ordered = np.sort(known, axis=1)
    rows = np.arange(len(ordered))
    last = ordered.shape[1] - 1
    below, above = np.clip((number - 1) // 2, 0, last), np.clip(number // 2, 0, last)
    with np.errstate(invalid="ignore"):
        median = (ordered[rows, below] + ordered[rows, above]) / 2
    filled = np.where(counts, lengths, 0)
    mean = filled.sum(axis=1) / np.maximum(number, 1)
    deviation = np.sqrt(
        np.where(counts, (lengths - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(number, 1)
    )
    with np.errstate(invalid="ignore"):
        near = counts & (np.abs(known - median[:, None]) <= deviation[:, None] + 1e-9)
    kept = np.where(near, weights, 0)
    total = kept.sum(axis=1)
    return np.where(total > 0, (kept * filled).sum(axis=1) / np.maximum(total, 1e-12), np.nan)


def _smooth(values: NDArray[np.float64], surface: Surface) -> NDArray[np.float64]:
    turn = np.where(surface.is_convex, CONVEX_SHARE, 1.0) * surface.turns
    links = surface.graph(np.exp(-turn / SOFT_TURN_RAD))
    links = links + 0.5 * identity(len(values), format="csr")
    average = diags(1 / np.asarray(links.sum(axis=1)).reshape(-1)) @ links
    for _ in range(SMOOTHING_ROUNDS):
        values = average @ values
    return values
