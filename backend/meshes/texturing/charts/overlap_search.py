"""Finds where charts fold over themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface
from backend.meshes.texturing.charts.scanlines import affordable_share, covered_texels
from backend.meshes.texturing.charts.turned_faces import fronts

Flags = NDArray[np.bool_]


def faces_behind(surface: ChartSurface, charts: Indices, corners: Points) -> tuple[Flags, int, int]:
    """Find faces with another of their chart in front of them in some texel.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0.
    corners : (m, 3, 2) float64
        Where they lie in their chart, in texels.

    Returns
    -------
    behind : (m,) bool
    shared, covered : int
        Texels with several faces of a chart, and with any.
    """
    corners = corners * affordable_share(corners)
    low = np.full((int(charts.max()) + 1, 2), np.inf)
    np.minimum.at(low, charts, corners.min(axis=1))
    faces, rows, columns = covered_texels(corners - np.floor(low)[charts][:, None])
    height, width = int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1
    texels = (charts[faces] * height + rows) * width + columns
    order = np.argsort(texels, kind="stable")
    texels, faces = texels[order], faces[order]
    again = texels[1:] == texels[:-1]
    several = np.append(again, False) | np.append(False, again)
    texels, faces = texels[several], faces[several]
    depth = _heights(surface, charts)[faces]
    order = np.lexsort((faces, depth, texels))
    texels, faces = texels[order], faces[order]
    is_front = np.append(texels[1:] != texels[:-1], True)[: len(texels)]
    behind = np.zeros(len(charts), dtype=np.bool_)
    behind[faces[~is_front]] = True
    return behind, int(is_front.sum()), len(again) + 1 - int(again.sum())


def _heights(surface: ChartSurface, charts: Indices) -> Points:
    """How far the middle of each face lies along the front of its chart, (m,)."""
    middles = surface.points[surface.faces].mean(axis=1)
    return np.asarray(np.einsum("ij,ij->i", middles, fronts(surface, charts)[charts]))
