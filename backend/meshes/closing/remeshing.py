"""Builds the surface of a torn part anew; it looks as the nearest face of the old one did."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from backend.meshes.closing.half_edges import Points
from backend.meshes.closing.part_mesh import CAP_MATERIAL
from backend.meshes.closing.winding_field import (
    Samples,
    spread_samples,
    winding_field,
)
from backend.meshes.simplify import simplify
from backend.meshes.smoothing import taubin
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh

INSIDE = 0.5
CELLS = 72  # on the long side
PROBE_CELLS = 24  # enough to see that nothing will come of it
SMOOTHING_ROUNDS = 4
FACES = 16_000
MIN_COVERED = 0.8
NEAR_CELLS = 1.5  # what is further from the old surface looks like a cap


def remesh(mesh: SourceMesh) -> SourceMesh | None:
    """Enclose all points around which the part winds more than half.

    Returns
    -------
    SourceMesh or None
        None when there are no such points, or when much of the part lies elsewhere.
    """
    corners = mesh.vertices[mesh.faces].astype(np.float64).reshape(-1, 3)
    found = None
    for cells in (PROBE_CELLS, CELLS):
        cell = float(np.ptp(corners, axis=0).max()) / cells
        samples = spread_samples(corners, np.arange(len(corners)).reshape(-1, 3), cell)
        found = _enclosing(samples, cell)
        if found is None or _covered(samples, found, NEAR_CELLS * cell) < MIN_COVERED:
            return None
    if found is None:
        return None
    return _dressed(mesh, corners, samples, simplify(found, FACES).mesh, NEAR_CELLS * cell)


def _enclosing(samples: Samples, cell: float) -> TriangleMesh | None:
    field = winding_field(samples, cell)
    values = np.pad(field.values[1:-1, 1:-1, 1:-1], 1)  # open sheets wind at the grid's border too
    if not values.max() > INSIDE:
        return None
    places, faces, _, _ = marching_cubes(values, INSIDE, method="lorensen")
    mesh = TriangleMesh.welded(places, faces[:, ::-1])
    if not mesh.is_closed():
        return None
    smooth = taubin(mesh, SMOOTHING_ROUNDS)
    return smooth.with_vertices(smooth.vertices * cell + field.low)


def _covered(samples: Samples, found: TriangleMesh, reach: float) -> float:
    """Share of the old surface's area that lies near the new one."""
    distances, _ = cKDTree(found.vertices).query(samples.points, distance_upper_bound=reach)
    areas = np.linalg.norm(samples.areas, axis=1)
    return float(areas[np.isfinite(distances)].sum() / areas.sum())


def _dressed(
    mesh: SourceMesh, points: Points, samples: Samples, found: TriangleMesh, reach: float
) -> SourceMesh:
    """Give each face the material of the nearest old face, and what lies at its place there."""
    corners = found.vertices[found.faces].astype(np.float64)
    distances, nearest = cKDTree(samples.points).query(corners.mean(axis=1))
    owners = samples.faces[nearest]
    kinds = np.where(distances < reach, mesh.face_materials[owners], len(mesh.materials))
    shares = _barycentric(points.reshape(-1, 3, 3)[owners], corners)
    old = mesh.faces[owners]
    plain = kinds == len(mesh.materials)
    return SourceMesh(
        corners.reshape(-1, 3).astype(np.float32),
        np.arange(corners.size // 3, dtype=np.int32).reshape(-1, 3),
        None if mesh.uvs is None else _mixed(mesh.uvs, old, shares, plain, 0),
        None if mesh.colors is None else _mixed(mesh.colors, old, shares, plain, 255),
        (*mesh.materials, CAP_MATERIAL),
        kinds.astype(np.int16),
    )


def _barycentric(triangles: Points, places: Points) -> Points:
    """Shares of a triangle's corners at the nearest place in its plane, kept inside of it.

    Parameters
    ----------
    triangles : (m, 3, 3) float64
        One for each new face.
    places : (m, 3, 3) float64
        The three corners of each new face.

    Returns
    -------
    (m, 3, 3) float64
        For each new corner, the shares of the three old ones.
    """
    a, b, c = (triangles[:, corner, None] for corner in range(3))
    first, second, arm = b - a, c - a, places - a
    d00, d01, d11 = (
        np.sum(x * y, axis=-1) for x, y in ((first, first), (first, second), (second, second))
    )
    d20, d21 = np.sum(arm * first, axis=-1), np.sum(arm * second, axis=-1)
    area = d00 * d11 - d01**2
    safe = np.where(area > 0, area, 1)
    v = np.where(area > 0, (d11 * d20 - d01 * d21) / safe, 1 / 3)
    w = np.where(area > 0, (d00 * d21 - d01 * d20) / safe, 1 / 3)
    shares = np.stack([1 - v - w, v, w], axis=-1).clip(0, 1)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _mixed(
    values: NDArray[Any],
    old: NDArray[np.int32],
    shares: Points,
    plain: NDArray[np.bool_],
    fill: int,
) -> NDArray[Any]:
    """Values of old corners mixed for new ones; caps get a plain one, (3 m, ...)."""
    mixed = np.einsum("mij,mjk->mik", shares, values[old].astype(np.float64))
    mixed[plain] = fill
    if np.issubdtype(values.dtype, np.integer):
        mixed = mixed.round()
    return np.asarray(mixed.reshape(-1, values.shape[1]), dtype=values.dtype)
