"""Puts charts side by side into one square texture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_turning import chart_sizes, laid_down, turned_upright
from backend.meshes.texturing.charts.chart_vertices import ChartVertices
from backend.meshes.texturing.charts.shelf_packing import shelf_packed

MOST_PACKED_CLOSELY = 4000
"""xatlas takes a second for as many, and four times that for twice as many."""
FILLED_SHARE = 0.6
"""What xatlas usually fills, gaps between charts included."""
FEWEST_TRIES, MOST_TRIES = 3, 5
CLOSE_ENOUGH = 1.06
"""The side that comes out may differ from the one asked for by as much."""


@dataclass(frozen=True)
class _Packed:
    """An attempt: places in texels, and the side of the square they need."""

    places: Points
    side: float
    texels_per_unit: float

    @property
    def density(self) -> float:
        """Length of a unit in a square of side 1."""
        return self.texels_per_unit / self.side


def packed(
    vertices: ChartVertices,
    places: Points,
    resolution: int,
    padding: int,
    tell: Callable[[int, int], None],
) -> Points:
    """Give each vertex of the charts its place in the texture.

    Charts are turned and all scaled alike, none is mirrored.

    Parameters
    ----------
    vertices : ChartVertices
    places : (v, 2) float64
        Where each vertex lies in its chart.
    resolution : int
        Side of the texture in texels that the gaps are meant for.
    padding : int
        Gap between charts in texels.
    tell : (done, total) -> None
        Called before each attempt.

    Returns
    -------
    (v, 2) float64
        From 0 to 1.
    """
    upright = turned_upright(vertices, places)
    best = _on_shelves(vertices, upright, resolution, padding)
    if len(vertices.firsts) <= MOST_PACKED_CLOSELY:
        closely = _best_of(vertices, upright, resolution, padding, tell)
        best = max(best, closely, key=lambda one: one.density)
    return np.asarray(np.clip(best.places / best.side, 0.0, 1.0))


def _on_shelves(vertices: ChartVertices, upright: Points, resolution: int, padding: int) -> _Packed:
    low, scale = shelf_packed(chart_sizes(vertices, upright), resolution, padding)
    places = np.repeat(low, _counts(vertices), axis=0) + upright * scale
    return _Packed(places, float(resolution), scale)


def _best_of(
    vertices: ChartVertices,
    upright: Points,
    resolution: int,
    padding: int,
    tell: Callable[[int, int], None],
) -> _Packed:
    """Pack with charts upright and lying, closing in on the resolution."""
    ways = (upright, laid_down(vertices, upright))
    scale = _first_guess(vertices, upright, resolution, padding)
    tries: list[_Packed] = []
    for number in range(MOST_TRIES):
        tell(number, MOST_TRIES)
        tries.append(_packed_closely(vertices, ways[number % 2], scale, padding))
        fits = [one for one in tries if 1 / CLOSE_ENOUGH < one.side / resolution < CLOSE_ENOUGH]
        if number + 1 >= FEWEST_TRIES and fits:
            return max(fits, key=lambda one: one.density)
        scale *= resolution / tries[-1].side
    return min(tries, key=lambda one: abs(one.side - resolution))


def _first_guess(vertices: ChartVertices, upright: Points, resolution: int, padding: int) -> float:
    """Texels per unit at which charts fit, and with their gaps fill what is usually filled."""
    sizes = chart_sizes(vertices, upright)
    corners = upright[vertices.faces]
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = float(np.abs(base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0]).sum()) / 2
    rims = float(sizes.sum()) * padding
    room = FILLED_SHARE * resolution**2
    # the positive root of area * t^2 + rims * t = room
    root = float(np.sqrt(rims**2 + 4 * area * room))
    longest = max(float(sizes.max()), 1e-12)
    return min(2 * room / max(rims + root, 1e-12), (resolution - padding) / longest)


def _packed_closely(
    vertices: ChartVertices, places: Points, texels_per_unit: float, padding: int
) -> _Packed:
    import xatlas

    options = xatlas.PackOptions()
    options.padding = padding
    options.texels_per_unit = texels_per_unit
    options.rotate_charts = False  # it would mirror them
    options.rotate_charts_to_axis = False
    atlas = xatlas.Atlas()
    owners = vertices.charts[vertices.faces[:, 0]].astype(np.uint32)
    corners = vertices.faces.astype(np.uint32)
    atlas.add_uv_mesh(places.astype(np.float32), corners, owners[:, None])
    atlas.generate(pack_options=options)
    sources, _, uv = atlas.get_mesh(0)
    size = np.array([atlas.width, atlas.height], dtype=np.float64)
    found = np.zeros_like(places)
    found[sources] = uv.astype(np.float64) * size
    shifts = _shifts(vertices, places * texels_per_unit, found)
    return _Packed(places * texels_per_unit + shifts, float(size.max()), texels_per_unit)


def _shifts(vertices: ChartVertices, before: Points, after: Points) -> Points:
    """How far each chart was moved, (v, 2); some vertices of faces without area were not."""
    corners = before[vertices.faces]
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.abs(base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0])
    owners = vertices.charts[vertices.faces[:, 0]]
    order = np.lexsort((areas, owners))  # the last face of each chart is the largest
    last = np.flatnonzero(np.append(np.diff(owners[order]), 1))
    sure = vertices.faces[order[last], 0]
    moved = after[sure] - before[sure]
    return np.asarray(np.repeat(moved, _counts(vertices), axis=0))


def _counts(vertices: ChartVertices) -> Indices:
    return np.diff(vertices.firsts, append=len(vertices.charts)).astype(np.int64)
