"""Joins vertices that lie close together until few enough faces are left, whatever the surface."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.mending.vertex_merging import look_numbers
from backend.meshes.source_mesh import SourceMesh

MOST_CELLS = 4096  # along the longest side


def clustered(mesh: SourceMesh, target_faces: int) -> SourceMesh:
    """Join the vertices in each cell of the finest grid that leaves at most so many faces.

    Reaches any number, also where the surface is torn to pieces: gaps narrower than a cell close,
    pieces smaller than a cell vanish, and surfaces that are closer may join. Both sides of a seam
    keep texture coordinates of their own, so that nothing is drawn across it.

    Parameters
    ----------
    mesh : SourceMesh
        Of some size.
    target_faces : int
        At least 1.

    Source
    ------
    Rossignac, Borrel, "Multi-resolution 3D approximations for rendering complex scenes", 1993.
    """
    points = mesh.vertices.astype(np.float64)
    low = points.min(axis=0)
    unit = (points - low) / max(float(np.ptp(points, axis=0).max()), 1e-300)
    few, many = 1, MOST_CELLS
    while many - few > 1:  # the finest grid lies between them
        middle = (few + many) // 2
        if len(_faces_left(mesh, _cells(unit, middle))) <= target_faces:
            few = middle
        else:
            many = middle
    cells = _cells(unit, few)
    return _joined(mesh, cells, _faces_left(mesh, cells))


def _cells(unit: Points, count: int) -> Indices:
    """Number the cells in use, (n,) int64: the cell of each vertex."""
    x, y, z = np.minimum((unit * count).astype(np.int64), count - 1).T
    return np.asarray(np.unique((x * count + y) * count + z, return_inverse=True)[1].reshape(-1))


def _faces_left(mesh: SourceMesh, cells: Indices) -> Indices:
    """List the faces with corners in three cells, one of those with the same three."""
    ranked = np.sort(cells[mesh.faces], axis=1)
    kept = np.flatnonzero((ranked[:, 0] != ranked[:, 1]) & (ranked[:, 1] != ranked[:, 2]))
    ranked = ranked[kept]
    order = np.lexsort(ranked.T)
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (ranked[order[1:]] != ranked[order[:-1]]).any(axis=1)
    return np.asarray(np.sort(kept[order[is_new]]))


def _joined(mesh: SourceMesh, cells: Indices, kept: Indices) -> SourceMesh:
    """Give each cell one place, and each piece of the texture in it a vertex there."""
    groups = _groups(mesh, cells)
    first = np.unique(groups, return_index=True)[1]
    joined = replace(
        mesh,
        vertices=_means(mesh.vertices, cells)[cells[first]],
        uvs=None if mesh.uvs is None else _means(mesh.uvs, groups),
        colors=None if mesh.colors is None else _means(mesh.colors, groups),
        faces=groups[mesh.faces].astype(np.int32),
    )
    chosen = np.zeros(len(mesh.faces), dtype=bool)
    chosen[kept] = True
    return joined.selected(chosen)


def _groups(mesh: SourceMesh, cells: Indices) -> Indices:
    """Number the vertices that become one, (n,) int64.

    With a texture those that hang together within their cell: both sides of a seam are near in
    space, but far away in the texture.
    """
    if mesh.uvs is None:
        return cells
    looks = look_numbers(mesh)
    start, stop = mesh.faces[:, [0, 1, 2]].reshape(-1), mesh.faces[:, [1, 2, 0]].reshape(-1)
    within = cells[start] == cells[stop]
    start, stop = looks[start[within]], looks[stop[within]]
    size = int(looks.max()) + 1
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (size, size))
    return np.asarray(connected_components(links, directed=False)[1][looks], dtype=np.int64)


def _means(values: NDArray[Any], groups: Indices) -> NDArray[Any]:
    """Mean of the rows of each group, in the type of the values."""
    counts = np.bincount(groups)
    sums = np.stack([np.bincount(groups, column) for column in values.T.astype(np.float64)], axis=1)
    means = sums / np.maximum(counts, 1)[:, None]
    if np.issubdtype(values.dtype, np.integer):
        means = means.round()
    return means.astype(values.dtype)
