"""How good a layout is: stretch, overlaps, and how much of the texture it uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Points
from backend.meshes.texturing.charts.scanlines import covered_texels
from backend.meshes.texturing.surface_layout import SurfaceLayout

LEAST_HEIGHT = 1e-6
"""Of the texture."""


@dataclass(frozen=True)
class LayoutQuality:
    """Figures of a layout.

    Parameters
    ----------
    charts : int
        Pieces whose faces hang together in the texture.
    stretch : float or None
        Area-weighted L2 stretch over all faces, 1 where the layout is a scaled copy of the
        surface; None where no face has an area.
    anisotropy : float or None
        How many times farther faces are stretched along one direction than across it, for the
        95th of 100 parts of the area.
    texel_use : float
        Share of the texels that some face covers.
    overlap : float or None
        Share of the covered texels that several faces cover; None where none is covered.
    mirrored : int
        Faces whose layout shows their back; slivers too thin for float32 are not counted.

    Source
    ------
    Sander et al., "Texture mapping progressive meshes", 2001 (L2 stretch).
    """

    charts: int
    stretch: float | None
    anisotropy: float | None
    texel_use: float
    overlap: float | None
    mirrored: int


def layout_quality(
    vertices: NDArray[np.floating], layout: SurfaceLayout, size: int = 1024
) -> LayoutQuality:
    """Measure a layout.

    Parameters
    ----------
    vertices : (n, 3) float
        Of the mesh that was laid out.
    layout : SurfaceLayout
    size : int
        Side of the texture in texels.
    """
    corners = layout.corner_uv
    points = vertices.astype(np.float64)[layout.sources][layout.faces]
    stretch, anisotropy = _stretches(points, corners)
    covered, shared = texel_counts(corners, size)
    mirrored = int(((_signed_areas(corners) < 0) & _is_measurable(corners)).sum())
    used = covered / size**2
    overlap = shared / covered if covered else None
    return LayoutQuality(_charts(layout), stretch, anisotropy, used, overlap, mirrored)


def texel_counts(corners: Points, size: int) -> tuple[int, int]:
    """Count the texels that any face covers, and those that several cover.

    Parameters
    ----------
    corners : (m, 3, 2) float64
        Texture coordinates from 0 to 1.
    size : int
        Side of the texture in texels.
    """
    _, rows, columns = covered_texels(corners * size)
    texels = np.clip(rows, 0, size - 1) * size + np.clip(columns, 0, size - 1)
    counts = np.bincount(texels, minlength=size * size)
    return int((counts > 0).sum()), int((counts > 1).sum())


def _signed_areas(corners: Points) -> Points:
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray((base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0]) / 2)


def _is_measurable(corners: Points) -> NDArray[np.bool_]:
    """Whether the height of a face is more than rounding to float32 makes of it, (m,) bool."""
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return np.asarray(2 * np.abs(_signed_areas(corners)) > LEAST_HEIGHT * longest)


def _stretches(points: Points, corners: Points) -> tuple[float | None, float | None]:
    """L2 stretch of the whole and the 95th percentile of the anisotropy, weighted by area."""
    flat = _signed_areas(corners)
    base, side = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    areas = np.linalg.norm(np.cross(base, side), axis=1) / 2
    known = _is_measurable(corners) & (areas > 1e-12 * areas.max(initial=0.0))
    if not known.any():
        return None, None
    flat, areas, corners, points = flat[known], areas[known], corners[known], points[known]
    across = _derivatives(points, corners[..., 1], flat)
    along = _derivatives(points, -corners[..., 0], flat)
    a, b, c = (across**2).sum(axis=1), (across * along).sum(axis=1), (along**2).sum(axis=1)
    root = np.sqrt(((a - c) / 2) ** 2 + b**2)
    longest, shortest = (a + c) / 2 + root, np.maximum((a + c) / 2 - root, 0.0)
    squared = float((areas * (a + c) / 2).sum() / areas.sum())
    stretch = float(np.sqrt(squared * np.abs(flat).sum() / areas.sum()))
    ratios = np.sqrt(longest / np.maximum(shortest, 1e-12 * longest))
    order = np.argsort(ratios)
    reached = np.cumsum(areas[order])
    return stretch, float(ratios[order][np.searchsorted(reached, 0.95 * reached[-1])])


def _derivatives(points: Points, heights: Points, flat: Points) -> Points:
    """Change of the position along one axis of the texture, (m, 3)."""
    weights = np.roll(heights, -1, axis=1) - np.roll(heights, -2, axis=1)
    return np.asarray(np.einsum("ij,ijk->ik", weights, points) / (2 * flat)[:, None])


def _charts(layout: SurfaceLayout) -> int:
    count = len(layout.uv)
    start, stop = layout.faces[:, [0, 1]].reshape(-1), layout.faces[:, [1, 2]].reshape(-1)
    links = sparse.coo_matrix((np.ones(len(start), np.int8), (start, stop)), (count, count))
    return int(connected_components(links, directed=False)[0])
