"""What the search for parts knows of a surface: faces, their neighbours and the edges between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

TINY = 1e-300
LARGEST_KEY_BITS = 63


@dataclass(frozen=True)
class Surface:
    """Triangles with their geometry.

    Parameters
    ----------
    vertices : (n, 3) float64
    faces : (m, 3) int64
    centres, normals : (m, 3) float64
        Normals of faces without area are zero.
    areas : (m,) float64
    pairs : (e, 2) int64
        Faces that share an edge.
    turns : (e,) float64
        Angle between their normals, radians.
    is_convex : (e,) bool
        Whether the surface bends away from the viewer at the edge.
    lengths : (e,) float64
        Of the edges.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    centres: NDArray[np.float64]
    normals: NDArray[np.float64]
    areas: NDArray[np.float64]
    pairs: NDArray[np.int64]
    turns: NDArray[np.float64]
    is_convex: NDArray[np.bool_]
    lengths: NDArray[np.float64]

    @classmethod
    def of(cls, vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Surface:
        """Measure a triangle mesh whose vertices are welded."""
        a, b, c = (vertices[faces[:, corner]] for corner in range(3))
        cross = np.cross(b - a, c - a)
        doubled = np.linalg.norm(cross, axis=1)
        normals = cross / np.maximum(doubled, TINY)[:, None]
        pairs, edges = face_pairs(faces)
        turns, is_convex = _bends(vertices, faces, normals, pairs, edges)
        lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        centres = (a + b + c) / 3
        return cls(vertices, faces, centres, normals, doubled / 2, pairs, turns, is_convex, lengths)

    @property
    def size(self) -> float:
        """Side of a cube of the same area; unlike a box, it minds no bodies set apart."""
        return float(np.sqrt(self.areas.sum() / 6))

    def graph(self, weights: NDArray[np.floating]) -> csr_matrix:
        """Link neighbours both ways, (m, m), with a weight per pair."""
        i, j = self.pairs.T
        both = np.concatenate([weights, weights])
        places = (np.concatenate([i, j]), np.concatenate([j, i]))
        return coo_matrix((both, places), (len(self.faces),) * 2).tocsr()

    def pieces(self, labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Number the connected pieces of each label, (m,) int64 from 0."""
        i, j = self.pairs[labels[self.pairs[:, 0]] == labels[self.pairs[:, 1]]].T
        links = coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), (len(self.faces),) * 2)
        return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def face_pairs(
    faces: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find faces that share an edge.

    An edge of more than two faces links them in a chain, in the order of their numbers.

    Returns
    -------
    pairs : (e, 2) int64
        Faces.
    edges : (e, 2) int64
        Vertices of the edge that they share.
    """
    if not len(faces):
        return np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
    span = int(faces.max()) + 1
    keys = _edge_keys(faces, span)
    first, second = _like(keys, 2 * (span - 1).bit_length())
    pairs = np.stack([first % len(faces), second % len(faces)], axis=1)
    return pairs, np.stack(np.divmod(keys[first], span), axis=1)


def neighbours(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find faces that share an edge as ``face_pairs`` does, without the edges: (e, 2) int64."""
    if not len(faces):
        return np.zeros((0, 2), dtype=np.int64)
    span = int(faces.max()) + 1
    first, second = _like(_edge_keys(faces, span), 2 * (span - 1).bit_length())
    return np.stack([first % len(faces), second % len(faces)], axis=1)


def _edge_keys(faces: NDArray[np.int64], span: int) -> NDArray[np.int64]:
    """Give both sides of an edge the same number: (3 * m,), first edges of all faces first."""
    corners = np.ascontiguousarray(faces.T)
    start, stop = corners.reshape(-1), corners[[1, 2, 0]].reshape(-1)
    return np.minimum(start, stop) * span + np.maximum(start, stop)


def _like(keys: NDArray[np.int64], key_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find places with the same key, each with the next one.

    Where a key and a place fit into 63 bits, sorting them as one number is several times faster
    than sorting places.
    """
    bits = len(keys).bit_length()
    if key_bits + bits <= LARGEST_KEY_BITS:
        packed = np.sort(keys << bits | np.arange(len(keys)))
        keys, order = packed >> bits, packed & ((1 << bits) - 1)
    else:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    return order[same], order[same + 1]


def _bends(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    normals: NDArray[np.float64],
    pairs: NDArray[np.int64],
    edges: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    first, second = normals[pairs[:, 0]], normals[pairs[:, 1]]
    sine = np.linalg.norm(np.cross(first, second), axis=1)
    turns = np.arctan2(sine, np.einsum("ij,ij->i", first, second))
    flat = (first**2).sum(axis=1) * (second**2).sum(axis=1) == 0
    opposite = faces[pairs[:, 1]].sum(axis=1) - edges.sum(axis=1)
    towards = vertices[opposite] - vertices[edges[:, 0]]
    return np.where(flat, 0, turns), np.einsum("ij,ij->i", first, towards) <= 0
