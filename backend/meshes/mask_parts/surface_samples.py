"""Points spread evenly over a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.mask_parts.clean_surface import face_crosses

SMALLEST_EXTENT = 1e-10


@dataclass(frozen=True)
class SurfaceSamples:
    """Points on a surface, and the faces that they lie on.

    Parameters
    ----------
    raw : (n, 3) float64
        In the coordinates of the mesh.
    points : (n, 3) float64
        The same, centred; from -1 to 1 along the longest side of their box.
    normals : (n, 3) float64
        Unit normals of their faces.
    faces : (n,) int64
        Numbers of their faces.
    """

    raw: NDArray[np.float64]
    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    faces: NDArray[np.int64]


def surface_samples(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    count: int,
    seed: int | np.random.Generator,
) -> SurfaceSamples:
    """Draw points at random, everywhere as likely; faces without an area get none.

    Parameters
    ----------
    vertices : (n, 3) float
    faces : (m, 3) int
    count : int
        How many points.
    seed : int or numpy.random.Generator
        Of what is drawn, or what draws.

    Raises
    ------
    ValueError
        No face has an area.

    Source
    ------
    Osada et al., Shape Distributions (2002), for points of a triangle.
    """
    corners = vertices[faces].astype(np.float64)
    crosses = face_crosses(corners)
    lengths = np.linalg.norm(crosses, axis=1)
    reach = np.cumsum(lengths)
    if not len(reach) or not 0 < reach[-1] < np.inf:
        raise ValueError("no face has an area")
    rng = np.random.default_rng(seed)
    wanted = rng.random(count) * reach[-1]
    chosen = np.searchsorted(reach, wanted, side="right")
    chosen = np.minimum(chosen, np.flatnonzero(lengths)[-1])  # should rounding reach the end
    raw = _points_within(corners[chosen], rng)
    normals = crosses[chosen] / lengths[chosen, None]
    return SurfaceSamples(raw, unit_box(raw), normals, chosen)


def unit_box(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre points and scale them until their box reaches from -1 to 1 along its longest side."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2
    return np.asarray((points - (low + high) / 2) / (half + SMALLEST_EXTENT))


def _points_within(corners: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a point of each triangle (n, 3, 3): of a parallelogram, whose far half is folded."""
    u, v = rng.random((2, len(corners), 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    origin = corners[:, 0]
    return np.asarray(origin + u * (corners[:, 1] - origin) + v * (corners[:, 2] - origin))
