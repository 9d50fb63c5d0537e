"""Turns faces so that they look outwards, since lines of sight run inwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from backend.meshes.parts.surface import face_pairs

TOLERATED_CLASHES = 0.03
"""Share of edges; fewer come from edges of more than two faces, where nothing can be turned."""
OPEN_BODY_VOLUME = 0.01
"""An open body is turned only when it encloses this share of area to the power of 1.5."""


def turned_outwards(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give neighbours the same sense, then turn the bodies that are inside out.

    Parameters
    ----------
    vertices : (n, 3) float64
    faces : (m, 3) int64

    Returns
    -------
    (m, 3) int64
        In the same order.
    """
    pairs, edges = face_pairs(faces)
    ones = np.ones(len(pairs), dtype=np.int8)
    links = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), (len(faces),) * 2).tocsr()
    count, found = connected_components(links, directed=False)
    bodies = found.astype(np.int64)
    clash = _runs(faces, pairs[:, 0], edges) == _runs(faces, pairs[:, 1], edges)
    turn = np.zeros(len(faces), dtype=np.bool_)
    at = bodies[pairs[:, 0]]
    clashes = np.bincount(at, clash, count) / np.maximum(np.bincount(at, minlength=count), 1)
    for body in np.flatnonzero(clashes > TOLERATED_CLASHES):
        turn |= _made_consistent(links, pairs, clash, int(np.flatnonzero(bodies == body)[0]))
    faces = np.where(turn[:, None], faces[:, ::-1], faces)
    inside_out = _inside_out(vertices, faces, bodies, count, _open_bodies(faces, pairs, bodies))
    return np.where(inside_out[bodies][:, None], faces[:, ::-1], faces)


def _runs(
    faces: NDArray[np.int64], chosen: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each face runs through its edge from the first vertex to the second."""
    corners = faces[chosen]
    start = corners == edges[:, :1]
    stop = np.roll(corners, -1, axis=1) == edges[:, 1:]
    return np.asarray((start & stop).any(axis=1))


def _made_consistent(
    links: csr_matrix, pairs: NDArray[np.int64], clash: NDArray[np.bool_], start: int
) -> NDArray[np.bool_]:
    """Say which faces of the body of a face to turn, so that all agree with it."""
    order, before = breadth_first_order(links, start, directed=False)
    size = len(before)
    ancestor = np.arange(size)
    ancestor[order[1:]] = before[order[1:]]
    keys = np.sort(pairs, axis=1) @ np.array([size, 1])
    clashing = np.unique(keys[clash])
    steps = np.minimum(ancestor, np.arange(size)) * size + np.maximum(ancestor, np.arange(size))
    turn = np.isin(steps, clashing)
    while (ancestor[order] != start).any():  # doubles the way to the root that is looked back
        turn ^= turn[ancestor]
        ancestor = ancestor[ancestor]
    return turn


def _open_bodies(
    faces: NDArray[np.int64], pairs: NDArray[np.int64], bodies: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each body has an edge with one face only; chains of faces count as closed."""
    sides = np.bincount(pairs.reshape(-1), minlength=len(faces))
    return np.bincount(bodies, sides < 3) > 0


def _inside_out(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    bodies: NDArray[np.int64],
    count: int,
    is_open: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    number = np.bincount(bodies, minlength=count)
    sums = np.stack([np.bincount(bodies, a[:, axis], count) for axis in range(3)], axis=1)
    middle = sums / number[:, None]
    a, b, c = a - middle[bodies], b - middle[bodies], c - middle[bodies]
    volume = np.bincount(bodies, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, count)
    area = np.bincount(bodies, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2, count)
    return np.asarray(volume < np.where(is_open, -OPEN_BODY_VOLUME * area**1.5, 0))
