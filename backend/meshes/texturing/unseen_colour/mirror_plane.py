"""An upright plane in which a body mirrors itself, and so its colours perhaps too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

COARSE_STEP_DEG = 3.0
FINE_STEP_DEG = 0.5
COARSE_PLACES, COARSE_POINTS = 4_000, 400
POINTS = 2_500
REFINED = 2
"""Of the planes tried coarsely, those that are looked at closely."""
APART_DEG = 12.0
MOST_SPACINGS = 0.8
"""Mean distance of mirrored places from the surface, in lengths of its edges."""
NO_WORSE, NO_WORSE_SPACINGS = 1.1, 0.01
"""Of planes this near to the best, the one that faces the front picture least is taken."""
HOPELESS_SPACINGS = 2.0
"""Planes that fit this badly at first sight are not refined."""
ABOUT_AS_GOOD, GOOD_SPACINGS = 1.25, 0.8
TURNED_BODY_SHARE = 0.5
"""With more of all planes about as good as the best, a body is turned; its colours need not be."""
FACING_DEG = 60.0
"""Bodies blown up from an outline are round: planes in between would turn the front aside."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MirrorPlane:
    """An upright plane.

    Parameters
    ----------
    azimuth_deg : float
        Where its normal points: 90 is +X, which makes left and right one another's images.
    offset : float
        Place of the plane along its normal.
    distance : float
        Mean distance of mirrored places from the surface, in spacings of the surface's nodes.
    """

    azimuth_deg: float
    offset: float
    distance: float

    @property
    def normal(self) -> Values:
        """Unit vector across the plane."""
        return _normal(self.azimuth_deg)

    @property
    def is_accepted(self) -> bool:
        """Whether the body is mirrored well enough."""
        return self.distance < MOST_SPACINGS

    def mirrored(self, points: Values) -> Values:
        """Mirror places, (n, 3) float64."""
        return points - 2 * np.outer(points @ self.normal - self.offset, self.normal)

    def turned(self, ways: Values) -> Values:
        """Mirror directions, (n, 3) float64."""
        return ways - 2 * np.outer(ways @ self.normal, self.normal)


def find_mirror_plane(
    points: Values, spacing: float, views_deg: Sequence[float], *, is_inflated: bool
) -> MirrorPlane | None:
    """Find the upright plane through the middle that mirrors a surface best.

    Parameters
    ----------
    points : (n, 3) float64
        Spread evenly over the surface.
    spacing : float
        Typical distance between neighbours among them.
    views_deg : sequence of float
        Azimuths of the pictures.
    is_inflated : bool
        The back mirrors the front because nothing else was known: then planes within 60 degrees
        of facing a picture are left out.

    Returns
    -------
    MirrorPlane or None
        The best (of those about as good, the one whose normal is furthest from the front view),
        accepted or not; None where no plane may be tried, and for bodies that look the same from
        all sides: their shape tells nothing of their colours.

    Notes
    -----
    400 places are mirrored in planes 3 degrees apart, then 2,500 in the best and those beside
    them, 0.5 degrees apart.
    """
    if len(points) < 3 or not spacing > 0:
        return None
    azimuths = np.arange(0.0, 180.0, COARSE_STEP_DEG)
    thinned = points[:: max(1, len(points) // COARSE_PLACES)]
    rough = _Search(thinned, COARSE_POINTS)
    coarse = rough.distances(azimuths)
    good = max(ABOUT_AS_GOOD * coarse.min(), GOOD_SPACINGS * rough.spacing)
    if (coarse < good).mean() > TURNED_BODY_SHARE:
        return None
    if is_inflated:
        allowed = ~_facing(azimuths, views_deg)
        azimuths, coarse = azimuths[allowed], coarse[allowed]
    if not len(azimuths):
        return None
    is_hopeless = coarse.min() > HOPELESS_SPACINGS * rough.spacing
    steps = np.zeros(1) if is_hopeless else _steps()
    search = _Search(points, POINTS)
    found = []
    for centre in _apart(azimuths, coarse, rough.spacing, views_deg[:1]):
        tried = (centre + steps) % 180
        if is_inflated:
            tried = tried[~_facing(tried, views_deg)]
        found.append(_best_of(search, tried, spacing))
    about_best = _no_worse(np.array([plane.distance for plane in found]), 1.0)
    turns = _angles(np.array([plane.azimuth_deg for plane in found]), views_deg[:1])
    return found[int(np.where(about_best, turns, -1.0).argmax())]


class _Search:
    """Nearest places of a surface to mirrored ones, for many planes at a time."""

    def __init__(self, points: Values, count: int) -> None:
        self._points = points
        self._asked = points[:: max(1, len(points) // count)]
        self._tree = cKDTree(points)

    @property
    def spacing(self) -> float:
        """Mean distance of places from their nearest neighbours."""
        return float(np.asarray(self._tree.query(self._asked, k=2)[0])[:, 1].mean())

    def offset(self, azimuth_deg: float) -> float:
        """Place the plane with this normal in the middle of the surface."""
        along = self._points @ _normal(azimuth_deg)
        return float(along.min() + along.max()) / 2

    def distances(self, azimuths_deg: Values) -> Values:
        """Mean distance of places mirrored in each plane from the nearest one, (p,) float64."""
        mirrored = [
            MirrorPlane(float(azimuth), self.offset(azimuth), np.inf).mirrored(self._asked)
            for azimuth in azimuths_deg
        ]
        away = np.asarray(self._tree.query(np.concatenate(mirrored))[0])
        return np.asarray(away.reshape(len(mirrored), -1).mean(axis=1))


def _normal(azimuth_deg: float) -> Values:
    angle = np.radians(azimuth_deg)
    return np.array([np.sin(angle), 0.0, np.cos(angle)])


def _steps() -> Values:
    return np.arange(-COARSE_STEP_DEG, COARSE_STEP_DEG + 1e-6, FINE_STEP_DEG)


def _no_worse(distances: Values, spacing: float) -> NDArray[np.bool_]:
    """Say which planes are about as good as the best."""
    return np.asarray(distances <= NO_WORSE * distances.min() + NO_WORSE_SPACINGS * spacing)


def _best_of(search: _Search, azimuths_deg: Values, spacing: float) -> MirrorPlane:
    """Find the best of a few planes; ``spacing`` turns distances into spacings."""
    distances = search.distances(azimuths_deg) / spacing
    best = int(distances.argmin())
    azimuth = float(np.round(azimuths_deg[best] % 180, 3))
    return MirrorPlane(azimuth, search.offset(azimuth), float(distances[best]))


def _apart(
    azimuths: Values, distances: Values, spacing: float, front_deg: Sequence[float]
) -> list[float]:
    """Take the best planes that are not neighbours; of good ones those that face the front least.

    A cube has four: without that order the two that are looked at closely would be any of them.
    """
    is_lowest = (distances <= np.roll(distances, 1)) & (distances <= np.roll(distances, -1))
    is_good = is_lowest & _no_worse(distances, spacing)
    turn = np.round(_angles(azimuths, front_deg))
    chosen: list[float] = []
    for index in np.lexsort((distances, np.where(is_good, -turn, 0), ~is_good)):
        turns = [abs((azimuths[index] - one + 90) % 180 - 90) for one in chosen]
        if all(other >= APART_DEG for other in turns):
            chosen.append(float(azimuths[index]))
        if len(chosen) == REFINED:
            break
    return chosen


def _facing(azimuths: Values, views_deg: Sequence[float]) -> NDArray[np.bool_]:
    """Say which planes face a picture: their normals point to it or away within 60 degrees."""
    return np.asarray(_angles(azimuths, views_deg) < FACING_DEG)


def _angles(azimuths: Values, views_deg: Sequence[float]) -> Values:
    """Give the least angle in degrees between the normal of each plane and any view."""
    turns = np.subtract.outer(azimuths, np.asarray(views_deg, dtype=np.float64))
    return np.asarray(np.abs((turns + 90) % 180 - 90).min(axis=1))
