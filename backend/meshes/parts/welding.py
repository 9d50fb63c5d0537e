"""One vertex per place: the surface without the seams of its texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

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
        Which faces of the given mesh these are; the others collapsed or are there twice.
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

    Parameters
    ----------
    vertices : (n, 3) float
    faces : (m, 3) int
    """
    scaled = _unit_size(vertices, faces)
    welded = _weld_on_grid(scaled, faces, FINE_BITS)
    if _is_soup(welded):
        coarse = _weld_on_grid(scaled, faces, COARSE_BITS)
        return welded if _is_soup(coarse) else coarse
    return welded


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
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    corners = inverse.reshape(-1)[faces].reshape(-1, 3)
    a, b, c = corners.T
    places = vertices[first]
    areas = _areas(places, corners)
    kept = np.flatnonzero((a != b) & (b != c) & (c != a) & (areas > LEAST_AREA))
    kept = kept[_first_of_doubles(corners[kept], len(places))]
    joined = corners[kept]
    return Welded(places, joined, kept, _bodies(joined, len(first)), areas[kept])


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
