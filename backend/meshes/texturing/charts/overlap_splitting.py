"""Gives faces that lie behind others in the layout of their chart charts of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface
from backend.meshes.texturing.charts.flattening import flattened
from backend.meshes.texturing.charts.overlap_search import faces_behind
from backend.meshes.texturing.charts.turned_faces import without_turned_faces

Flags = NDArray[np.bool_]

MOST_ROUNDS = 8
RING_TEXELS, MOST_RINGS = 4, 4
NEARLY_ALL = 0.9
"""Of the area of a chart: a part of it with so much stays where it lies."""
SHARED_GOAL = 0.00005
"""Of the covered texels: fewer shared ones are left."""


def split_overlaps(
    surface: ChartSurface,
    charts: Indices,
    corners: Points,
    texels_per_unit: float,
    tell: Callable[[int, int], None],
) -> tuple[Indices, Points]:
    """Part charts that fold over themselves; others stay as they are.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0.
    corners : (m, 3, 2) float64
        Where they lie in their chart.
    texels_per_unit : float
        How fine the texture will be.
    tell : (done, total) -> None
        Called before each round.

    Returns
    -------
    charts : (m,) int64
        From 0 without gaps.
    corners : (m, 3, 2) float64
    """
    charts, corners = charts.copy(), corners.copy()
    chosen = np.arange(len(charts))
    most = None
    rings = _rings(surface, texels_per_unit)
    for done in range(MOST_ROUNDS):
        tell(done, MOST_ROUNDS)
        if not len(chosen):
            break
        part = surface.part(_flags(chosen, len(charts)))
        local = _numbered(charts[chosen])
        behind, shared, covered = faces_behind(part, local, corners[chosen] * texels_per_unit)
        most = SHARED_GOAL * covered if most is None else most
        if shared <= most:
            break
        touched = _any_of(behind, local)[local]
        chosen, part = chosen[touched], part.part(touched)
        before = local[touched]
        parted = without_turned_faces(part, _parted(part, before, behind[touched], rings))
        charts[chosen] = int(charts.max()) + 1 + parted
        anew = ~_is_nearly_all(part, before, parted)
        chosen = chosen[anew]
        if len(chosen):
            corners[chosen] = flattened(part.part(anew), _numbered(parted[anew]))
    return _numbered(charts), corners


def _numbered(charts: Indices) -> Indices:
    """Number charts from 0 without gaps."""
    return np.unique(charts, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _is_nearly_all(surface: ChartSurface, before: Indices, charts: Indices) -> Flags:
    """Say which faces are of a chart that has nearly all of the one that it is a part of.

    Nothing lies behind it any more, and laying it flat anew would hardly change it.
    """
    now, whole = (np.bincount(of, weights=surface.areas) for of in (charts, before))
    return np.asarray(now[charts] >= NEARLY_ALL * whole[before])


def _flags(chosen: Indices, count: int) -> Flags:
    flags = np.zeros(count, dtype=np.bool_)
    flags[chosen] = True
    return flags


def _any_of(flags: Flags, charts: Indices) -> Flags:
    return np.asarray(np.bincount(charts, weights=flags) > 0)


def _rings(surface: ChartSurface, texels_per_unit: float) -> int:
    """How many rings of neighbours go with the faces behind, so that it is worth a new chart."""
    texels = texels_per_unit**2 * float(surface.areas.sum()) / max(len(surface.areas), 1)
    return int(np.clip(RING_TEXELS / max(np.sqrt(2 * texels), 1e-12), 1, MOST_RINGS))


def _parted(surface: ChartSurface, charts: Indices, behind: Flags, rings: int) -> Indices:
    """Number the pieces of each chart behind and in front; those behind take their neighbours."""
    one, other = surface.pairs[charts[surface.pairs[:, 0]] == charts[surface.pairs[:, 1]]].T
    grown = behind.copy()
    for _ in range(rings):
        touching = grown[one] | grown[other]
        grown[one[touching]] = True
        grown[other[touching]] = True
    is_left = _any_of(~grown, charts)[charts]
    grown = np.where(is_left, grown, behind)
    has_front = _any_of(~grown, charts)[charts]
    labels = np.where(has_front, 2 * charts + grown, 2 * int(charts.max() + 1))
    alone = np.flatnonzero(~has_front)
    labels[alone] += np.arange(len(alone))
    return surface.pieces(labels)
