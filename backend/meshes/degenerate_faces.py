"""Drops faces without an area, and faces that are there twice, from a mesh that stays closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from backend.meshes.face_selection import with_faces
from backend.meshes.mending.mesh_figures import NO_AREA
from backend.meshes.triangle_mesh import Faces, TriangleMesh

LONGEST_SHARE = 1e-3
"""Of the longest side: longer edges are not collapsed, one would see it."""
MAX_ROUNDS = 8

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class WithoutDegenerate:
    """What is left, and what went.

    Parameters
    ----------
    mesh : TriangleMesh
        The same object where nothing went.
    collapsed_faces : int
        Faces that went because an edge of one without an area was collapsed.
    duplicate_faces : int
        Faces with the same corners as another, in pairs where they lie back to back.
    left : int
        Faces without an area that stay: without them the mesh would look different or be open.
    """

    mesh: TriangleMesh
    collapsed_faces: int
    duplicate_faces: int
    left: int


def without_degenerate_faces(mesh: TriangleMesh) -> WithoutDegenerate:
    """Collapse the shortest edges of faces without an area, and drop faces that are there twice.

    A closed mesh stays closed. An edge is collapsed onto one of its ends, and only if its ends
    have no neighbours in common but those across the faces beside it, so no tunnel is pinched off.
    """
    faces = _unfolded(mesh.faces)
    for _ in range(MAX_ROUNDS):
        moves = _collapses(mesh, faces)
        if not len(moves):
            break
        target = np.arange(len(mesh.vertices), dtype=np.int32)
        target[moves[:, 1]] = moves[:, 0]
        faces = _unfolded(target[faces])
    collapsed = len(mesh.faces) - len(faces)
    faces = faces[~_duplicates(faces)]
    duplicates = len(mesh.faces) - collapsed - len(faces)
    left = int(has_no_area(mesh, faces).sum())
    if collapsed + duplicates == 0:
        return WithoutDegenerate(mesh, 0, 0, left)
    smaller = with_faces(mesh, faces)
    if mesh.is_closed() and len(faces) and not smaller.is_closed():
        return WithoutDegenerate(mesh, 0, 0, int(has_no_area(mesh, mesh.faces).sum()))
    return WithoutDegenerate(smaller, collapsed, duplicates, left)


def has_no_area(mesh: TriangleMesh, faces: Faces) -> Flags:
    """Say which faces have no area, (m,) bool."""
    if not len(faces):
        return np.zeros(0, dtype=np.bool_)
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[faces], 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.asarray(areas <= NO_AREA * float(mesh.extents.max()) ** 2)


def _unfolded(faces: Faces) -> Faces:
    """Leave out faces with the same corner twice; their edges are each other's partners."""
    a, b, c = faces.T
    return np.asarray(faces[(a != b) & (b != c) & (c != a)])


def _duplicates(faces: Faces) -> Flags:
    """Say which faces go because others have the same corners, (m,) bool.

    Of those that lie back to back as many go from either side; of the others one stays.
    """
    turns = np.argmin(faces, axis=1)[:, None]
    rolled = np.take_along_axis(faces, (turns + np.arange(3)) % 3, axis=1)
    looks_up = rolled[:, 1] < rolled[:, 2]
    low, middle, high = np.sort(faces.astype(np.int64), axis=1).T
    span = int(faces.max(initial=0)) + 1
    _, pairs = np.unique(low * span + middle, return_inverse=True)
    _, groups = np.unique(pairs * span + high, return_inverse=True)
    ups, downs = np.bincount(groups, looks_up), np.bincount(groups, ~looks_up)
    stays = np.sign(ups - downs)[groups] == np.where(looks_up, 1, -1)
    _, first = np.unique(np.where(stays, groups, -1), return_index=True)
    is_first = np.zeros(len(faces), dtype=np.bool_)
    is_first[first] = True
    return np.asarray(~(stays & is_first))


def _collapses(mesh: TriangleMesh, faces: Faces) -> NDArray[np.int64]:
    """Choose edges to collapse, (n, 2) int64: what stays, what goes; none is near another."""
    flat = faces[has_no_area(mesh, faces)]
    if not len(flat):
        return np.zeros((0, 2), dtype=np.int64)
    corners = mesh.vertices.astype(np.float64)[flat]
    lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    shortest = np.argmin(lengths, axis=1)
    rows = np.arange(len(flat))
    edges = np.stack([flat[rows, shortest], flat[rows, (shortest + 1) % 3]], axis=1)
    is_short = lengths[rows, shortest] <= LONGEST_SHARE * float(mesh.extents.max())
    edges = np.unique(np.sort(edges[is_short], axis=1), axis=0).astype(np.int64)
    return np.array(list(_apart(edges, faces, len(mesh.vertices))), dtype=np.int64).reshape(-1, 2)


def _apart(
    edges: NDArray[np.int64], faces: Faces, vertex_count: int
) -> Iterator[NDArray[np.int64]]:
    """Yield edges that may be collapsed at once; a body of four faces vanishes as a whole."""
    table = _incidence(faces, vertex_count)
    touched: set[int] = set()
    for edge in edges:
        stays, goes = (
            faces[table.indices[table.indptr[end] : table.indptr[end + 1]]] for end in edge
        )
        beside = goes[(goes == edge[0]).any(axis=1)]
        common = np.intersect1d(stays, goes)
        ring = {int(vertex) for vertex in np.union1d(stays, goes)}
        if not touched & ring and np.array_equal(common, np.unique(beside)):
            touched |= ring
            yield edge


def _incidence(faces: Faces, vertex_count: int) -> sparse.csr_array:
    """Tell the faces around each vertex, a sparse matrix of vertices by faces."""
    columns = np.repeat(np.arange(len(faces)), 3)
    links = np.ones(len(columns), dtype=np.int8), (faces.reshape(-1), columns)
    return sparse.csr_array(links, shape=(vertex_count, len(faces)))
