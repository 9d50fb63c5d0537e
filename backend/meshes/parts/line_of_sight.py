"""Which patches see one another through the inside of the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.parts.rays import RayScene
from backend.meshes.parts.surface import Surface

SAMPLES = 4
LIFT = 2e-4
GRAZING = 0.05
END_SLACK = 4e-4
SHEET_RADII = 2.2
PAIRS_AT_ONCE = 400_000


def line_of_sight(
    surface: Surface, scene: RayScene, samples: NDArray[np.int64], *, outside: bool = False
) -> NDArray[np.float64]:
    """Measure the share of point pairs that see each other, (k, k) float64 from 0 to 1.

    Points lie a little below the surface (or above it), and both ends must look that way.

    Parameters
    ----------
    samples : (k * SAMPLES,) int64
        Faces of each patch.
    outside : bool
        Look through the air instead of through the body.

    Source
    ------
    Asafi, Goren, Cohen-Or, "Weak convex decomposition by lines-of-sight", CGF 32 (2013).
    """
    count = len(samples) // SAMPLES
    outwards = surface.normals[samples] * (-1 if outside else 1)
    points = surface.centres[samples] - LIFT * outwards
    seen = _visible(points, outwards, scene).reshape(count, SAMPLES, count, SAMPLES)
    return np.asarray(seen.mean(axis=(1, 3), dtype=np.float64))


def sheet_likeness(
    surface: Surface, diameter: NDArray[np.float64], patches: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Tell how much thinner than wide patches are, (k,) float64 from 0 (solid) to 1 (sheet)."""
    areas = np.maximum(np.bincount(patches, surface.areas), 1e-300)
    thickness = np.bincount(patches, surface.areas * diameter) / areas
    radius = np.sqrt(areas.sum() / len(areas) / np.pi)
    return np.asarray(np.clip(1 - thickness / (SHEET_RADII * radius), 0, 1))


def draw_samples(
    surface: Surface, patches: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw faces of each patch by area, (k * SAMPLES,) int64, patch after patch."""
    count = int(patches.max()) + 1
    order = np.argsort(patches, kind="stable")
    ends = np.cumsum(surface.areas[order] + 1e-15)
    last = np.flatnonzero(np.diff(patches[order], append=count))
    high = ends[last]
    low = np.concatenate([[0.0], high[:-1]])
    share = (np.arange(SAMPLES) + random.random((count, SAMPLES))) / SAMPLES
    drawn = np.searchsorted(ends, low[:, None] + share * (high - low)[:, None])
    first = np.concatenate([[0], last[:-1] + 1])
    return np.asarray(order[np.clip(drawn, first[:, None], last[:, None])].reshape(-1))


def _visible(
    points: NDArray[np.float64], normals: NDArray[np.float64], scene: RayScene
) -> NDArray[np.bool_]:
    seen = np.eye(len(points), dtype=np.bool_)
    rows, columns = np.triu_indices(len(points), 1)
    for at in range(0, len(rows), PAIRS_AT_ONCE):
        i, j = rows[at : at + PAIRS_AT_ONCE], columns[at : at + PAIRS_AT_ONCE]
        way = points[j] - points[i]
        length = np.linalg.norm(way, axis=1)
        way /= np.maximum(length, 1e-12)[:, None]
        leaves = np.einsum("ij,ij->i", way, normals[i]) < GRAZING
        arrives = np.einsum("ij,ij->i", way, normals[j]) > -GRAZING
        asked = np.flatnonzero(leaves & arrives)
        distance, met = scene.first_hits(points[i[asked]], way[asked])
        free = (met < 0) | (distance > length[asked] - END_SLACK)
        seen[i[asked], j[asked]] = free
    return seen | seen.T
