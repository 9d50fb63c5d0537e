"""Splits long edges, so that a box of twelve faces can be looked at closely."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 12


def split_long_edges(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    longest: float,
    most_faces: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Halve edges until none is longer than wanted or there are enough faces.

    Faces on both sides of an edge are split alike, so that no gaps open.

    Returns
    -------
    vertices : (n, 3) float64
    faces : (m, 3) int64
    parents : (m,) int64
        The given face that each face is a piece of.
    """
    parents = np.arange(len(faces))
    for _ in range(ROUNDS):
        if len(faces) >= most_faces:
            break
        start, stop = faces, faces[:, [1, 2, 0]]
        lengths = np.linalg.norm(vertices[start] - vertices[stop], axis=2)
        is_long = lengths > longest
        if not is_long.any():
            break
        middles, vertices = _middles(vertices, start, stop, is_long)
        faces, parents = split_faces(faces, parents, middles)
    return vertices, faces, parents


def _middles(
    vertices: NDArray[np.float64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    is_long: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Add a vertex in the middle of each long edge; -1 where an edge stays, (m, 3)."""
    low, high = np.minimum(start, stop)[is_long], np.maximum(start, stop)[is_long]
    keys, inverse = np.unique(low * len(vertices) + high, return_inverse=True)
    a, b = keys // len(vertices), keys % len(vertices)
    middles = np.full(is_long.shape, -1)
    middles[is_long] = len(vertices) + inverse.reshape(-1)
    return middles, np.concatenate([vertices, (vertices[a] + vertices[b]) / 2])


def split_faces(
    faces: NDArray[np.int64], parents: NDArray[np.int64], middles: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split each face at vertices on its edges.

    Parameters
    ----------
    faces : (m, 3) int64
    parents : (m,) int64
        Handed on to the pieces.
    middles : (m, 3) int64
        A vertex on each edge, from the first to the second corner and so on; -1 for none.

    Returns
    -------
    faces : (k, 3) int64
    parents : (k,) int64
    """
    count = (middles >= 0).sum(axis=1)
    pieces = [faces[count == 0]]
    owners = [parents[count == 0]]
    for number, cut in ((1, _halves), (2, _thirds), (3, _quarters)):
        chosen = count == number
        new = cut(*_turned(faces[chosen], middles[chosen], number))
        pieces.append(new.reshape(-1, 3))
        owners.append(np.repeat(parents[chosen], new.shape[1]))
    return np.concatenate(pieces), np.concatenate(owners)


def _turned(
    faces: NDArray[np.int64], middles: NDArray[np.int64], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Turn faces so that the first edge is split (of one), or the last is not (of two)."""
    lone = (middles >= 0) if number == 1 else (middles < 0)
    shift = lone.argmax(axis=1) + (1 if number == 2 else 0)
    order = (np.arange(3) + shift[:, None]) % 3
    return np.take_along_axis(faces, order, axis=1), np.take_along_axis(middles, order, axis=1)


def _halves(f: NDArray[np.int64], m: NDArray[np.int64]) -> NDArray[np.int64]:
    (a, b, c), d = f.T, m[:, 0]
    return np.stack([a, d, c, d, b, c], axis=1).reshape(-1, 2, 3)


def _thirds(f: NDArray[np.int64], m: NDArray[np.int64]) -> NDArray[np.int64]:
    (a, b, c), d, e = f.T, m[:, 0], m[:, 1]
    return np.stack([d, b, e, a, d, e, a, e, c], axis=1).reshape(-1, 3, 3)


def _quarters(f: NDArray[np.int64], m: NDArray[np.int64]) -> NDArray[np.int64]:
    (a, b, c), (d, e, g) = f.T, m.T
    return np.stack([a, d, g, d, b, e, g, e, c, d, e, g], axis=1).reshape(-1, 4, 3)
