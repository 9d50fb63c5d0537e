"""Cuts off the faces of a chart that could not be seen from its front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface, summed, unit_rows

LEAST_COSINE = float(np.cos(np.deg2rad(83)))
MOST_ROUNDS = 8
LEAST_LEANING = 0.02
"""Length of the mean direction from which on it says something."""


def fronts(surface: ChartSurface, charts: Indices) -> Points:
    """Direction that each chart is seen from, (k, 3) float64 of length 1.

    It is the mean of its faces by area; where they look all round, as on a ring, that of the
    largest face.
    """
    count = int(charts.max(initial=-1)) + 1
    mean = summed(surface.normals * surface.areas[:, None], charts, count)
    areas = np.bincount(charts, weights=surface.areas, minlength=count)
    all_round = np.linalg.norm(mean, axis=1) < LEAST_LEANING * areas
    if all_round.any():
        order = np.lexsort((surface.areas, charts))  # the last of each chart is the largest
        largest = order[np.flatnonzero(np.diff(charts[order], append=count))]
        mean[charts[largest]] = np.where(
            all_round[charts[largest], None], surface.normals[largest], mean[charts[largest]]
        )
    return unit_rows(mean)


def without_turned_faces(surface: ChartSurface, charts: Indices) -> Indices:
    """Give faces turned more than 83 degrees from the front of their chart charts of their own.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0.

    Returns
    -------
    (m,) int64
        From 0; each chart is one connected piece. Seen from its front no face shows its back.
    """
    charts = surface.pieces(charts)
    for _ in range(MOST_ROUNDS):
        turned = _turned(surface, charts)
        if not turned.any():
            return charts
        charts = surface.pieces(2 * charts + turned)
    turned = _turned(surface, charts)
    alone = int(charts.max()) + 1 + np.arange(int(turned.sum()))
    charts = charts.copy()
    charts[turned] = alone
    return surface.pieces(charts)


def _turned(surface: ChartSurface, charts: Indices) -> NDArray[np.bool_]:
    cosines = np.einsum("ij,ij->i", surface.normals, fronts(surface, charts)[charts])
    return np.asarray((cosines < LEAST_COSINE) & (surface.areas > 0))
