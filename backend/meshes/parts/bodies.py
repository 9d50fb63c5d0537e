"""Which bodies of a surface count, and which are crumbs that go with the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.catalog import MAX_PARTS
from backend.meshes.parts.linings import find_linings
from backend.meshes.parts.welding import Welded

SMALLEST_SHARE = 0.001
"""Of the largest body: what is smaller is a crumb."""
SMALLEST_AMONG_CRUMBS = 0.004
"""The same where there are more crumbs than bodies, as in a scan: some crumbs are large."""
SEARCHED_SHARE = 0.004
"""Of the whole area: what is smaller is a part as it is."""
MOST_SEARCHED = 64
MOST_BODIES = MAX_PARTS - 64
"""The others are left for the parts of those that are searched."""
MOST_POINTS = 100_000
SPREAD_BODIES = 24
"""How many stand for all where there are more like bodies, as in a heap of leaves."""


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
    searched_count : int
        Parts are looked for on the first bodies; each of the others is one part.
    count : int
    """

    of_faces: NDArray[np.int64]
    is_crumb: NDArray[np.bool_]
    is_lining: NDArray[np.bool_]
    searched_count: int
    count: int

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Whether the face goes with a body that is one part, (m,) bool."""
        return self.of_faces >= self.searched_count

    @property
    def is_searched(self) -> NDArray[np.bool_]:
        """Whether parts are looked for on the face, (m,) bool."""
        return ~(self.is_crumb | self.is_lining | self.is_whole)


def gather_bodies(welded: Welded) -> Bodies:
    """Tell the bodies that are parts from the crumbs that join the nearest of them.

    A body counts from 0.1 % of the area of the largest, among crumbs from 0.4 %. Where more than
    936 count, those with 0.4 % of the whole area stay, at most 64, or some that lie far from one
    another.
    """
    found = int(welded.bodies.max()) + 1 if len(welded.bodies) else 0
    if found <= 1:
        none = np.zeros(len(welded.bodies), dtype=np.bool_)
        return Bodies(welded.bodies, none, none, found, found)
    areas = np.bincount(welded.bodies, welded.areas, found).astype(np.float64)
    middles = _middles(welded, found)
    kept = _kept(areas, middles)
    linings = find_linings(welded, kept)
    kept = kept[~np.isin(kept, list(linings))]
    searched = _searched(areas, kept)
    kept = np.concatenate([searched, kept[~np.isin(kept, searched)]])
    number = np.full(found, -1)
    number[kept] = np.arange(len(kept))
    joins = number.copy()
    joins[number < 0] = _nearest(welded, number, middles[number < 0])
    is_lining = np.zeros(found, dtype=np.bool_)
    for lining, host in linings.items():
        joins[lining], is_lining[lining] = number[host], True
    is_crumb = (number < 0) & ~is_lining
    own = welded.bodies
    return Bodies(joins[own], is_crumb[own], is_lining[own], len(searched), len(kept))


def _middles(welded: Welded, count: int) -> NDArray[np.float64]:
    number = np.bincount(welded.bodies, minlength=count)
    corners = welded.vertices[welded.faces[:, 0]]
    sums = [np.bincount(welded.bodies, corners[:, axis], count) for axis in range(3)]
    return np.stack(sums, axis=1) / number[:, None]


def _kept(areas: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.int64]:
    like = np.flatnonzero(areas >= SMALLEST_SHARE * areas.max())
    if 2 * len(like) < len(areas):
        like = np.flatnonzero(areas >= SMALLEST_AMONG_CRUMBS * areas.max())
    if len(like) <= MOST_BODIES:
        return like
    large = np.flatnonzero(areas >= SEARCHED_SHARE * areas.sum())
    return large[:MOST_SEARCHED] if len(large) else _spread(areas, middles)


def _searched(areas: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the bodies on which parts are looked for: the largest, one at least."""
    order = kept[np.argsort(-areas[kept], kind="stable")]
    count = int((areas[order] >= SEARCHED_SHARE * areas.sum()).sum())
    return np.sort(order[: min(max(count, 1), MOST_SEARCHED)])


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
