"""Which sides of faces meet along which edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Indices = NDArray[np.int64]

BORDER = -1


def same_places(vertices: NDArray[np.floating]) -> Indices:
    """Number the places where vertices lie, (n,) int64; equal positions share a number."""
    rounded = np.asarray(vertices, dtype=np.float32) + np.float32(0)  # no -0
    order = np.lexsort(rounded.T)
    ranked = rounded[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    places = np.zeros(len(order), dtype=np.int64)
    places[order] = np.cumsum(is_new) - 1
    return places


def edge_groups(faces: Indices) -> tuple[Indices, Indices, Indices]:
    """Bring the half-edges of one edge together.

    Half-edge ``3 f + c`` leads from corner ``c`` of face ``f`` to the next corner.

    Returns
    -------
    order : (3 m,) int64
        Half-edges, those of one edge side by side.
    starts, counts : (e,) int64
        Where the edges begin in it, and how many half-edges each has.
    """
    start, stop = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    span = int(faces.max()) + 1 if len(faces) else 1
    keys = np.minimum(start, stop) * span + np.maximum(start, stop)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return order, starts, np.diff(starts, append=len(order))


def pair_half_edges(points: Points, faces: Indices) -> Indices:
    """Find the half-edge that each half-edge meets.

    Where an edge has more than two faces, those pair that have the solid between them.

    Parameters
    ----------
    points : (n, 3) float64
    faces : (m, 3) int64
        No face has the same corner twice.

    Returns
    -------
    (3 m,) int64
        The partner, which leads the other way; BORDER where there is none.
    """
    order, starts, counts = edge_groups(faces)
    forward = (faces < np.roll(faces, -1, axis=1)).reshape(-1)
    partners = np.full(faces.size, BORDER, dtype=np.int64)
    twos = starts[counts == 2]
    one, other = order[twos], order[twos + 1]
    meets = forward[one] != forward[other]
    partners[one[meets]], partners[other[meets]] = other[meets], one[meets]
    many = counts > 2
    for begin, count in zip(starts[many], counts[many], strict=True):
        _pair_around(points, faces, forward, order[begin : begin + count], partners)
    return partners


def _pair_around(
    points: Points, faces: Indices, forward: NDArray[np.bool_], ring: Indices, partners: Indices
) -> None:
    """Pair the half-edges of one edge as brackets: one face opens the solid, the next closes it."""
    ring = ring[np.argsort(_angles_around(points, faces, ring), kind="stable")]
    waiting: list[int] = []
    for half in np.concatenate([ring, ring]).tolist():  # twice, as the circle has no beginning
        if partners[half] != BORDER:
            continue
        if not forward[half]:
            waiting.append(half)
            continue
        while waiting and partners[waiting[-1]] != BORDER:
            waiting.pop()
        if waiting:
            opener = waiting.pop()
            partners[half], partners[opener] = opener, half


def _angles_around(points: Points, faces: Indices, ring: Indices) -> Points:
    corners = faces[ring // 3]
    lead = ring % 3
    rows = np.arange(len(ring))
    first, second, third = (corners[rows, (lead + step) % 3] for step in range(3))
    low, high = points[min(first[0], second[0])], points[max(first[0], second[0])]
    axis = (high - low) / max(float(np.linalg.norm(high - low)), 1e-300)
    arms = points[third] - low
    arms = arms - (arms @ axis)[:, None] * axis
    right = arms[0]
    return np.asarray(np.arctan2(np.cross(right, arms) @ axis, arms @ right))
