"""Joins charts that are too small to be worth a place of their own."""

from __future__ import annotations

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface, summed, unit_rows

FEWEST_FACES = 12
SMALLEST_SHARE = 0.0004
"""Of the whole area."""
MOST_ROUNDS = 6
LEAST_AGREEMENT = 0.2
"""Cosine between the directions of two charts; beyond it they would fold over each other."""


def without_crumbs(surface: ChartSurface, charts: Indices) -> Indices:
    """Give small charts to the neighbour with the longest border that looks the same way.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0.

    Returns
    -------
    (m,) int64
        From 0 without gaps.
    """
    for _ in range(MOST_ROUNDS):
        taken = _takers(surface, charts)
        if np.array_equal(taken, np.arange(len(taken))):
            break
        charts = np.unique(taken[charts], return_inverse=True)[1].reshape(-1).astype(np.int64)
    return charts


def _takers(surface: ChartSurface, charts: Indices) -> Indices:
    """Say which chart takes each chart, (k,) int64; itself where it stays."""
    count = int(charts.max(initial=-1)) + 1
    directed = summed(surface.normals * surface.areas[:, None], charts, count)
    areas = np.bincount(charts, weights=surface.areas, minlength=count)
    faces = np.bincount(charts, minlength=count)
    is_crumb = (faces < FEWEST_FACES) | (areas < SMALLEST_SHARE * surface.areas.sum())
    one, other, weights = _borders(surface, charts, unit_rows(directed))
    larger = (areas[other] > areas[one]) | ((areas[other] == areas[one]) & (other < one))
    fits = is_crumb[one] & larger & (weights > 0)
    return _followed(_best(one[fits], other[fits], weights[fits], count))


def _borders(
    surface: ChartSurface, charts: Indices, directions: Points
) -> tuple[Indices, Indices, Points]:
    """Measure the border of each chart with each other, weighted by agreement, both ways."""
    sides = charts[surface.pairs]
    apart = sides[:, 0] != sides[:, 1]
    both = np.concatenate([sides[apart], sides[apart][:, ::-1]])
    count = len(directions)
    keys, place = np.unique(both[:, 0] * count + both[:, 1], return_inverse=True)
    lengths = np.concatenate([surface.lengths[apart]] * 2)
    border = np.bincount(place.reshape(-1), weights=lengths, minlength=len(keys))
    one, other = np.divmod(keys, max(count, 1))
    agreement = np.einsum("ij,ij->i", directions[one], directions[other]) - LEAST_AGREEMENT
    return one, other, border * np.maximum(agreement, 0)


def _best(one: Indices, other: Indices, weights: Points, count: int) -> Indices:
    found = np.arange(count)
    order = np.lexsort((-other, weights, one))  # the last of each chart weighs most
    found[one[order]] = other[order]
    return found


def _followed(takers: Indices) -> Indices:
    """Follow chains of takers to their ends; each leads to a larger chart, so they do end."""
    while True:
        further = takers[takers]
        if np.array_equal(further, takers):
            return takers
        takers = further
