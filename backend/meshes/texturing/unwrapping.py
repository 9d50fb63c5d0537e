"""Gives a mesh without texture coordinates a layout of its own.

The surface is cut into patches that look to one of six sides, each is laid flat with little
stretch, those that fold over themselves are parted, and all are packed into one square.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.closing.half_edges import Indices, Points, same_places
from backend.meshes.texturing.charts.axis_labels import axis_labels
from backend.meshes.texturing.charts.chart_surface import ChartSurface
from backend.meshes.texturing.charts.chart_vertices import ChartVertices
from backend.meshes.texturing.charts.crumbs import without_crumbs
from backend.meshes.texturing.charts.flattening import flattened
from backend.meshes.texturing.charts.long_charts import cut_long_charts, squeezed
from backend.meshes.texturing.charts.overlap_splitting import split_overlaps
from backend.meshes.texturing.charts.packing import packed
from backend.meshes.texturing.charts.turned_faces import without_turned_faces
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh

Tell = Callable[[int, int], None]

STEPS = 100
"""Of progress; cutting takes the first 15, laying flat 35, parting 60, packing the rest."""
CUT, FLAT, PARTED = 15, 35, 60
EXPECTED_USE = 0.55
"""Share of the texture that charts will cover, near enough to find where they overlap."""
CUTTING_ROUNDS = 2
MOST_WORKING_TEXELS = 1024
"""Finer textures get the same layout; looking closer would only take longer."""


def unwrap(
    mesh: TriangleMesh, *, resolution: int = 1024, padding: int = 2, tell: Tell | None = None
) -> SurfaceLayout:
    """Lay a surface flat into one texture, without overlaps and without mirrored faces.

    The same mesh always gets the same layout. Faces without an area get a place without one.

    Parameters
    ----------
    mesh : TriangleMesh
        Finite, in any unit. Vertices in one place count as one.
    resolution : int
        Side of the texture in texels.
    padding : int
        Gap between charts in texels; in textures finer than 1024 it grows with them.
    tell : (done, total) -> None, optional
        Hears of progress every few tenths of a second; what it raises ends the work.
    """
    hear = tell or _nobody
    hear(0, STEPS)
    places = same_places(mesh.vertices)
    corners = places[mesh.faces]
    proper = _has_three_corners(corners)
    points = _points_of(mesh, places)
    surface = ChartSurface.of(points, corners[proper])
    uv = np.full((len(mesh.faces), 3, 2), 0.5)
    charts = np.arange(len(mesh.faces)) + len(mesh.faces)
    if surface.areas.any():
        working = min(resolution, MOST_WORKING_TEXELS)
        charts[proper], uv[proper] = _laid_out(surface, working, padding, hear)
        has_area = np.zeros(len(mesh.faces), dtype=np.bool_)
        has_area[proper] = surface.areas > 0
        _place_the_rest(points[corners], charts, uv, has_area)
    hear(STEPS, STEPS)
    return _layout(mesh, charts, uv)


def _nobody(_done: int, _total: int) -> None:
    """Hear nothing."""


def _has_three_corners(corners: Indices) -> NDArray[np.bool_]:
    a, b, c = corners.T
    return np.asarray((a != b) & (b != c) & (c != a))


def _points_of(mesh: TriangleMesh, places: Indices) -> Points:
    """Position of each place, (p, 3) float64."""
    points = np.zeros((int(places.max(initial=-1)) + 1, 3))
    points[places] = mesh.vertices
    return points


def _laid_out(
    surface: ChartSurface, resolution: int, padding: int, hear: Tell
) -> tuple[Indices, Points]:
    """Chart of each face, (m,), and its corners in the texture, (m, 3, 2)."""
    charts = surface.pieces(axis_labels(surface))
    for _ in range(CUTTING_ROUNDS):
        charts = without_turned_faces(surface, without_crumbs(surface, charts))
    hear(CUT, STEPS)
    corners = flattened(surface, charts)
    hear(FLAT, STEPS)
    scale = resolution * float(np.sqrt(EXPECTED_USE / surface.areas.sum()))
    charts, corners = split_overlaps(surface, charts, corners, scale, _within(hear, FLAT, PARTED))
    charts = cut_long_charts(surface, charts, corners, resolution / scale)
    corners = squeezed(charts, corners, resolution / scale)
    is_real = (np.bincount(charts, weights=surface.areas) > 0)[charts]
    vertices = ChartVertices.of(surface.faces[is_real], charts[is_real])
    flat = vertices.gathered(corners[is_real])
    found = packed(vertices, flat, resolution, padding, _within(hear, PARTED, STEPS))
    corners[is_real] = found[vertices.faces]
    return charts, corners


def _within(hear: Tell, begin: int, end: int) -> Tell:
    return lambda done, total: hear(begin + (end - begin) * done // total, STEPS)


def _place_the_rest(
    corners: Points, charts: Indices, uv: Points, has_area: NDArray[np.bool_]
) -> None:
    """Lay faces that belong to no chart with an area on the middle of the nearest that has one."""
    largest = int(charts.max()) + 1
    is_real = np.bincount(charts, weights=has_area, minlength=largest)[charts] > 0
    rest = np.flatnonzero(~is_real)
    if not len(rest):
        return
    solid = np.flatnonzero(has_area)
    middles = corners.mean(axis=1)
    nearest = solid[cKDTree(middles[solid]).query(middles[rest])[1]]
    uv[rest] = uv[nearest].mean(axis=1)[:, None]
    charts[rest] = largest + np.arange(len(rest))


def _layout(mesh: TriangleMesh, charts: Indices, uv: Points) -> SurfaceLayout:
    """Join corners of one chart and one vertex."""
    vertices = ChartVertices.of(mesh.faces.astype(np.int64), charts)
    return SurfaceLayout(
        vertices.places.astype(np.int64),
        vertices.gathered(uv).astype(np.float32),
        vertices.faces.astype(np.int32),
    )
