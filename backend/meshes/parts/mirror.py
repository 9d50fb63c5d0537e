"""The plane in which a thing mirrors itself, and which face stands for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.parts.creases import contrast

SAMPLES = 600
TRIED_SAMPLES = 200
REFINED = 2
ROUNDS = 10
LEAST_TRIED_SHARE = 0.12
"""A plane that fits less is not worth turning."""
TRIMMED_SHARE = 0.8
"""Of the samples, those that fit best turn the plane; the rest may be a sword in one hand."""
TOLERANCE = 0.012
"""How far a mirrored point may lie off the surface, as a share of the longest side."""
REACH = 0.04
LEAST_FACING = 0.6
MOST_CONTRAST = 0.35
LEAST_SHARE = 0.88
NO_BETTER_SHARE = 0.995
NEIGHBOURS = 3


@dataclass(frozen=True)
class Mirror:
    """How the faces of a surface stand for one another.

    Parameters
    ----------
    images : (m,) int64
        The face where the mirrored middle of each face lies; -1 where there is none.
    sides : (m,) float64
        Distance of each face from the plane, negative on one side.
    """

    images: NDArray[np.int64]
    sides: NDArray[np.float64]


@dataclass(frozen=True)
class _Plane:
    normal: NDArray[np.float64]
    offset: float

    def distances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points @ self.normal - self.offset

    def mirrored(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points - 2 * np.outer(self.distances(points), self.normal)

    def turned(self, ways: NDArray[np.float64]) -> NDArray[np.float64]:
        return ways - 2 * np.outer(ways @ self.normal, self.normal)


class _Things:
    """Middles of faces with their normals, found by place."""

    def __init__(
        self,
        centres: NDArray[np.float64],
        normals: NDArray[np.float64],
        colors: NDArray[np.float64] | None,
    ) -> None:
        self.centres, self.normals, self._colors = centres, normals, colors
        self._tree = cKDTree(centres)

    def nearest(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(self._tree.query(points)[1], dtype=np.int64)

    def images(self, plane: _Plane, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the face that each face is mirrored to, -1 where nothing like it is there."""
        points = plane.mirrored(self.centres[chosen])
        ways = plane.turned(self.normals[chosen])
        count = min(NEIGHBOURS, len(self.centres))
        away, near = self._tree.query(points, k=count)
        away, near = np.reshape(away, (-1, count)), np.reshape(near, (-1, count))
        facing = np.einsum("ij,ikj->ik", ways, self.normals[near])
        best = (facing - away / REACH).argmax(axis=1)
        rows = np.arange(len(near))
        found = near[rows, best]
        gap = np.abs(np.einsum("ij,ij->i", points - self.centres[found], self.normals[found]))
        fits = (gap < TOLERANCE) & (away[rows, best] < REACH) & (facing[rows, best] > LEAST_FACING)
        if self._colors is not None:
            fits &= contrast(self._colors[chosen], self._colors[found]) < MOST_CONTRAST
        return np.where(fits, found, -1)


def find_mirror(
    centres: NDArray[np.float64],
    normals: NDArray[np.float64],
    areas: NDArray[np.float64],
    colors: NDArray[np.float64] | None = None,
) -> Mirror | None:
    """Find the plane that mirrors nearly all of a surface to itself.

    The axes of the surface and those of space are tried; the best are fitted to the nearest
    faces, again and again, as scans are to one another.

    Parameters
    ----------
    centres, normals : (m, 3) float64
        Of faces of a surface whose longest side is 1.
    areas : (m,) float64
    colors : (m, 3) float64 or None
        CIE Lab.

    Returns
    -------
    Mirror or None
        None where more than 12 % of the area has no image.

    Source
    ------
    Besl, McKay, "A method for registration of 3-D shapes" (1992), with a plane for the motion.
    """
    if not len(centres) or not areas.sum() > 0:
        return None
    things = _Things(centres, normals, colors)
    chosen = _samples(areas, SAMPLES)
    few = _samples(areas, TRIED_SAMPLES)
    tried = [(_share(things, plane, few), plane) for plane in _axes(centres, areas)]
    tried = sorted(tried, key=lambda pair: -pair[0])[:REFINED]
    fitted = [_fitted(things, plane, chosen) for share, plane in tried if share > LEAST_TRIED_SHARE]
    share, best = max(fitted, key=lambda pair: pair[0], default=(0.0, None))
    if best is None or share < LEAST_SHARE:
        return None
    return Mirror(things.images(best, np.arange(len(centres))), best.distances(centres))


def patch_images(
    patches: NDArray[np.int64], areas: NDArray[np.float64], mirror: Mirror
) -> NDArray[np.int64]:
    """Find the patch that each patch is mirrored to; a patch in the plane is its own.

    Parameters
    ----------
    patches : (m,) int64
    areas : (m,) float64
        Of the faces.

    Returns
    -------
    (k,) int64
        -1 where no patch agrees: each must be the other's largest share.
    """
    count = int(patches.max()) + 1
    known = np.flatnonzero(mirror.images >= 0)
    keys = patches[known] * count + patches[mirror.images[known]]
    shares = np.bincount(keys, areas[known], count**2).reshape(count, count)
    both = shares + shares.T
    best = both.argmax(axis=1)
    agrees = (best[best] == np.arange(count)) & (both.max(axis=1) > 0)
    return np.where(agrees, best, -1)


def _samples(areas: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Choose faces evenly by area."""
    ends = np.cumsum(areas)
    places = (np.arange(count) + 0.5) / count * ends[-1]
    return np.unique(np.minimum(np.searchsorted(ends, places), len(areas) - 1))


def _axes(centres: NDArray[np.float64], areas: NDArray[np.float64]) -> list[_Plane]:
    middle = areas @ centres / areas.sum()
    away = centres - middle
    axes = np.linalg.eigh((away * areas[:, None]).T @ away)[1].T
    middles = (
        (centres.min(axis=0) + centres.max(axis=0)) / 2,
        np.median(centres[_samples(areas, SAMPLES)], axis=0),  # minds no sword in one hand
    )
    upright = [_Plane(axis, float(axis @ place)) for place in middles for axis in np.eye(3)]
    return [*upright, *(_Plane(axis, float(axis @ middle)) for axis in axes)]


def _share(things: _Things, plane: _Plane, chosen: NDArray[np.int64]) -> float:
    return float((things.images(plane, chosen) >= 0).mean())


def _fitted(things: _Things, plane: _Plane, chosen: NDArray[np.int64]) -> tuple[float, _Plane]:
    """Turn a plane so that the largest share of samples lies near the surface."""
    points = things.centres[chosen]
    best, most = plane, _share(things, plane, chosen)
    for _ in range(ROUNDS):
        if most > NO_BETTER_SHARE:
            break
        mirrored = plane.mirrored(points)
        met = things.centres[things.nearest(mirrored)]
        away = np.linalg.norm(mirrored - met, axis=1)
        near = away <= np.quantile(away, TRIMMED_SHARE)
        plane = _between(points[near], met[near])
        share = _share(things, plane, chosen)
        if share > most:
            best, most = plane, share
    return most, best


def _between(first: NDArray[np.float64], second: NDArray[np.float64]) -> _Plane:
    """Give the plane that mirrors points to others with the least squared error."""
    middle = (first.mean(axis=0) + second.mean(axis=0)) / 2
    moments = (first - first.mean(axis=0)).T @ (second - second.mean(axis=0))
    normal = np.linalg.eigh(moments + moments.T)[1][:, 0]
    return _Plane(normal, float(normal @ middle))
