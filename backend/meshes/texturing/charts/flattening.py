"""Lays charts flat with little stretch: first as seen from the front, then as rigid as possible."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import NO_AREA, ChartSurface
from backend.meshes.texturing.charts.chart_vertices import ChartVertices
from backend.meshes.texturing.charts.turned_faces import fronts

Plane = NDArray[np.complex128]

ITERATIONS = 3
COTANGENT_RANGE = (0.01, 100.0)
"""Below it an obtuse face would pull its edge apart; above it the face has no area."""
LEAST_KEPT_AREA = 0.1
"""Of a face: charts in which one keeps less stay as they were a step before."""


def flattened(surface: ChartSurface, charts: Indices) -> Points:
    """Lay each chart flat, in its own plane and with its own area.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0; no face turns its back to the front of its chart.

    Returns
    -------
    (m, 3, 2) float64
        Places of the corners, in the unit of the surface. No face is mirrored.

    Source
    ------
    Liu et al., "A local/global approach to mesh parameterization", 2008 (as rigid as possible).
    """
    if not len(surface.faces):
        return np.zeros((0, 3, 2))
    sheet = ChartVertices.of(surface.faces, charts)
    places = _seen_from_front(surface, sheet, charts)
    best = places.copy()
    rest, weights = _rest_edges(surface)
    factors, anchors = _factorised(sheet, weights)
    for _ in range(ITERATIONS):
        places = _relaxed(sheet, rest, weights, places, factors, anchors)
        sound = _without_flips(surface, charts, places[sheet.faces])[sheet.charts]
        best[sound] = places[sound]
    corners = _with_own_area(surface, charts, best[sheet.faces])
    return np.stack([corners.real, corners.imag], axis=2)


def _seen_from_front(surface: ChartSurface, sheet: ChartVertices, charts: Indices) -> Plane:
    front = fronts(surface, charts)
    least = np.eye(3)[np.argmin(np.abs(front), axis=1)]
    right = np.cross(least, front)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(front, right)
    points, owners = surface.points[sheet.places], sheet.charts
    across = np.einsum("ij,ij->i", points, right[owners])
    along = np.einsum("ij,ij->i", points, up[owners])
    return np.asarray(across + 1j * along)


def _rest_edges(surface: ChartSurface) -> tuple[Plane, Points]:
    """Edges opposite each corner in the plane of their face, (m, 3), and their weights."""
    a, b, c = (surface.points[surface.faces[:, corner]] for corner in range(3))
    base, side = b - a, c - a
    length = np.maximum(np.linalg.norm(base, axis=1), 1e-300)
    across = np.einsum("ij,ij->i", base, side) / length
    height = np.linalg.norm(np.cross(base, side), axis=1) / length
    corners = np.stack([0j * length, length + 0j, across + 1j * height], axis=1)
    edges = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    arms = -edges[:, [2, 0, 1]].conj() * edges[:, [1, 2, 0]]
    cotangents = arms.real / np.maximum(np.abs(arms.imag), 1e-300)
    return edges, np.clip(cotangents, *COTANGENT_RANGE)


def _factorised(sheet: ChartVertices, weights: Points) -> tuple[SuperLU, Indices]:
    """Factorise the Laplacian of all charts at once, one vertex of each held."""
    start, stop = sheet.faces[:, [1, 2, 0]].reshape(-1), sheet.faces[:, [2, 0, 1]].reshape(-1)
    flat = weights.reshape(-1)
    count = len(sheet.places)
    links = sparse.coo_matrix((flat, (start, stop)), (count, count)).tocsc()
    links = links + links.T
    anchors = sheet.firsts
    degree = np.asarray(links.sum(axis=0)).reshape(-1)
    degree[anchors] *= 2
    laplacian = (sparse.diags(degree) - links).tocsc()
    options = {"SymmetricMode": True}
    factors = splu(laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    return factors, anchors


def _relaxed(
    sheet: ChartVertices,
    rest: Plane,
    weights: Points,
    places: Plane,
    factors: SuperLU,
    anchors: Indices,
) -> Plane:
    """Turn each face to where it fits best, then bring the faces together again."""
    start, stop = sheet.faces[:, [1, 2, 0]], sheet.faces[:, [2, 0, 1]]
    fit = (weights * rest.conj() * (places[stop] - places[start])).sum(axis=1)
    length = np.abs(fit)
    turn = np.where(length > 0, fit / np.maximum(length, 1e-300), 1.0)
    pulls = (weights * rest * turn[:, None]).reshape(-1)
    wanted = _gathered(stop.reshape(-1), pulls, len(places))
    wanted -= _gathered(start.reshape(-1), pulls, len(places))
    shifts = places[anchors][np.searchsorted(sheet.charts[anchors], sheet.charts)]
    found = factors.solve(np.stack([wanted.real, wanted.imag], axis=1))
    moved: Plane = found[:, 0] + 1j * found[:, 1] + shifts
    return moved


def _gathered(rows: Indices, values: Plane, count: int) -> Plane:
    real = np.bincount(rows, weights=values.real, minlength=count)
    imaginary = np.bincount(rows, weights=values.imag, minlength=count)
    return np.asarray(real + 1j * imaginary)


def _doubled_areas(corners: Plane) -> Points:
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray((base.conj() * side).imag)


def _without_flips(surface: ChartSurface, charts: Indices, corners: Plane) -> NDArray[np.bool_]:
    """Say for each chart whether all its faces show their front and keep some of their area."""
    lost = _doubled_areas(corners) <= 2 * LEAST_KEPT_AREA * surface.areas
    return np.asarray(np.bincount(charts, weights=lost & (surface.areas > 0)) == 0)


def _with_own_area(surface: ChartSurface, charts: Indices, corners: Plane) -> Plane:
    flat = np.bincount(charts, weights=np.abs(_doubled_areas(corners)) / 2)
    true = np.bincount(charts, weights=surface.areas)
    usable = (flat > NO_AREA) & (true > NO_AREA)
    factors = np.sqrt(np.where(usable, true / np.where(usable, flat, 1.0), 1.0))
    return np.asarray(corners * factors[charts][:, None])
