"""One vertex per place: the surface without the seams of its texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from backend.meshes.parts.junctions import split_at_junctions

FINE_BITS = 20
COARSE_BITS = 13
ALWAYS_CHECKED_FACES = 200_000
CROWDED_FACES = 2.5
"""Faces per vertex; a closed surface has 2, one whose faces are all there twice has 4."""
MOST_COUNTED = 2**20
"""Vertices, so that three of their numbers fit into 63 bits."""
LEAST_AREA = 1e-13
LOOSE_FACES_PER_BODY = 4


@dataclass(frozen=True)
class Welded:
    """The faces that have an area, over vertices that differ.

    Parameters
    ----------
    vertices : (n, 3) float64
        From 0 to 1 along the longest side of the box.
    faces : (m, 3) int64
    source_faces : (m,) int64
        Which faces of the given mesh these are; the others collapsed or are there twice. Of the
        pieces of a face the largest is the last.
    bodies : (m,) int64
        Pieces that share no vertex, numbered from 0.
    areas : (m,) float64
        Of the faces.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    source_faces: NDArray[np.int64]
    bodies: NDArray[np.int64]
    areas: NDArray[np.float64]


def weld(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Welded:
    """Merge vertices in one place, drop faces that collapse or repeat, and scale to unit size.

    A soup of triangles that hardly touch is welded again with a tolerance of 1/8192 of the size.
    Where corners of faces lie on open edges of others, these are split (up to 200,000 faces).

    Parameters
    ----------
    vertices : (n, 3) float
    faces : (m, 3) int
    """
    scaled = _unit_size(vertices, faces)
    welded = _weld_on_grid(scaled, faces, FINE_BITS)
    if _is_soup(welded):
        coarse = _weld_on_grid(scaled, faces, COARSE_BITS)
        welded = welded if _is_soup(coarse) else coarse
    if _is_soup(welded) or len(welded.faces) > ALWAYS_CHECKED_FACES:
        return welded
    return _without_slits(welded)


def _without_slits(welded: Welded) -> Welded:
    faces, parents = split_at_junctions(welded.vertices, welded.faces)
    if len(faces) == len(welded.faces):
        return welded
    areas = _areas(welded.vertices, faces)
    order = np.lexsort((areas, parents))
    faces, source_faces = faces[order], welded.source_faces[parents[order]]
    bodies = _bodies(faces, len(welded.vertices))
    return Welded(welded.vertices, faces, source_faces, bodies, areas[order])


def _unit_size(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    if not len(faces):
        return np.zeros((len(vertices), 3))
    used = np.zeros(len(vertices), dtype=np.bool_)
    used[faces.reshape(-1)] = True
    chosen = vertices if used.all() else vertices[used]
    low, high = chosen.min(axis=0), chosen.max(axis=0)
    size = float((high.astype(np.float64) - low).max())
    scaled = (vertices.astype(np.float64) - low) / (size if size > 0 else 1.0)
    return np.asarray(np.clip(scaled, 0, 1))


def _weld_on_grid(vertices: NDArray[np.float64], faces: NDArray[np.integer], bits: int) -> Welded:
    cells = np.rint(vertices * (2**bits - 1)).astype(np.int64)
    keys = (cells[:, 0] << 2 * bits) | (cells[:, 1] << bits) | cells[:, 2]
    first, inverse = _numbered(keys)
    corners = inverse[faces].reshape(-1, 3)
    a, b, c = corners.T
    places = vertices[first]
    areas = _areas(places, corners)
    kept = np.flatnonzero((a != b) & (b != c) & (c != a) & (areas > LEAST_AREA))
    kept = kept[_first_of_doubles(corners[kept], len(places))]
    if len(kept) < len(corners):
        corners, areas = corners[kept], areas[kept]
    return Welded(places, corners, kept, _bodies(corners, len(first)), areas)


def _numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number what differs: one place of each, and the number at each place."""
    order = np.argsort(keys)
    is_new = np.diff(keys[order], prepend=-1) != 0
    inverse = np.zeros(len(keys), dtype=np.int64)
    inverse[order] = np.cumsum(is_new) - 1
    return order[is_new], inverse


def _first_of_doubles(faces: NDArray[np.int64], vertex_count: int) -> NDArray[np.int64]:
    """Number the faces, of those with the same three corners only the first."""
    is_suspicious = len(faces) > CROWDED_FACES * vertex_count
    if vertex_count > MOST_COUNTED or (len(faces) > ALWAYS_CHECKED_FACES and not is_suspicious):
        return np.arange(len(faces))
    low, middle, high = np.sort(faces, axis=1).T
    keys = (low * vertex_count + middle) * vertex_count + high
    return np.sort(np.unique(keys, return_index=True)[1])


def _areas(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Half the length of the cross product, component by component: a third of the time."""
    origin = vertices[faces[:, 0]]
    (ux, uy, uz), (vx, vy, vz) = ((vertices[faces[:, k]] - origin).T for k in (1, 2))
    x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    return np.asarray(np.sqrt(x * x + y * y + z * z) / 2)


def _bodies(faces: NDArray[np.int64], vertex_count: int) -> NDArray[np.int64]:
    if not len(faces):
        return np.zeros(0, dtype=np.int64)
    start, stop = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    links = coo_matrix((np.ones(len(start), dtype=np.int8), (start, stop)), (vertex_count,) * 2)
    labels = connected_components(links, directed=False)[1][faces[:, 0]]
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _is_soup(welded: Welded) -> bool:
    count = int(welded.bodies.max()) + 1 if len(welded.bodies) else 0
    return count * LOOSE_FACES_PER_BODY > len(welded.faces) > LOOSE_FACES_PER_BODY
