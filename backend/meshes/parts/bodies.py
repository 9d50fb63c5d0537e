"""Which bodies of a surface count, and which are crumbs that go with the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.parts.linings import find_linings
from backend.meshes.parts.welding import Welded

SMALLEST_SHARE = 0.004
MOST_BODIES = 64
MOST_POINTS = 100_000
SPREAD_BODIES = 24
"""How many stand for all where every body is small, as in a heap of leaves."""


@dataclass(frozen=True)
class Bodies:
    """The bodies that are divided on their own.

    Parameters
    ----------
    of_faces : (m,) int64
        The body that each welded face goes with, from 0.
    is_crumb : (m,) bool
        Whether the face belongs to a smaller piece that only goes with that body.
    is_lining : (m,) bool
        Whether it belongs to the inner skin of that body.
    count : int
    """

    of_faces: NDArray[np.int64]
    is_crumb: NDArray[np.bool_]
    is_lining: NDArray[np.bool_]
    count: int

    @property
    def is_searched(self) -> NDArray[np.bool_]:
        """Whether parts are looked for on the face, (m,) bool."""
        return ~(self.is_crumb | self.is_lining)


def gather_bodies(welded: Welded) -> Bodies:
    """Keep the bodies with at least 0.4 % of the area, at most 64; the others join the nearest."""
    found = int(welded.bodies.max()) + 1 if len(welded.bodies) else 0
    if found <= 1:
        none = np.zeros(len(welded.bodies), dtype=np.bool_)
        return Bodies(welded.bodies, none, none, found)
    areas = np.bincount(welded.bodies, welded.areas, found).astype(np.float64)
    middles = _middles(welded, found)
    kept = _kept(areas, middles)
    linings = find_linings(welded, kept)
    kept = kept[~np.isin(kept, list(linings))]
    number = np.full(found, -1)
    number[kept] = np.arange(len(kept))
    joins = number.copy()
    joins[number < 0] = _nearest(welded, number, middles[number < 0])
    is_lining = np.zeros(found, dtype=np.bool_)
    for lining, host in linings.items():
        joins[lining], is_lining[lining] = number[host], True
    is_crumb = (number < 0) & ~is_lining
    own = welded.bodies
    return Bodies(joins[own], is_crumb[own], is_lining[own], len(kept))


def _middles(welded: Welded, count: int) -> NDArray[np.float64]:
    number = np.bincount(welded.bodies, minlength=count)
    corners = welded.vertices[welded.faces[:, 0]]
    sums = [np.bincount(welded.bodies, corners[:, axis], count) for axis in range(3)]
    return np.stack(sums, axis=1) / number[:, None]


def _kept(areas: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.int64]:
    large = np.flatnonzero(areas >= SMALLEST_SHARE * areas.sum())
    if not len(large):
        return _spread(areas, middles)
    order = np.argsort(-areas[large], kind="stable")[:MOST_BODIES]
    return np.sort(large[order])


def _spread(areas: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose bodies that lie far from one another, beginning with the largest."""
    chosen = [int(areas.argmax())]
    away = np.linalg.norm(middles - middles[chosen[0]], axis=1)
    while len(chosen) < min(SPREAD_BODIES, len(areas)):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(middles - middles[chosen[-1]], axis=1))
    return np.unique(chosen)


def _nearest(
    welded: Welded, number: NDArray[np.int64], points: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Find the kept body nearest to each point."""
    bodies = number[welded.bodies]
    faces = np.flatnonzero(bodies >= 0)
    faces = faces[:: len(faces) // MOST_POINTS + 1]
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    tree = cKDTree(welded.vertices[welded.faces[faces, 0]])
    return bodies[faces[tree.query(points)[1]]]
