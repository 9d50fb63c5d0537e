"""Which faces go on from each other across an edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points, edge_groups

Flags = NDArray[np.bool_]

MOST_AROUND = 16
"""Edges with more faces are borders to all of them."""
COSINE_STEP = 1e-4
"""Turns that differ by less count as the same; then faces pair in their order."""


def paired_faces(faces: Indices, normals: Points) -> tuple[Indices, Indices]:
    """Find faces on two sides of an edge that look to the same side of the surface.

    Where an edge has more than two faces, as between the two skins of a leaf, those pair that
    both turn least towards each other; the others end there.

    Parameters
    ----------
    faces : (m, 3) int64
        Corners; no face has the same twice.
    normals : (m, 3) float64

    Returns
    -------
    pairs : (e, 2) int64
        Faces.
    ends : (e, 2) int64
        Vertices of the edge.
    """
    order, starts, counts = edge_groups(faces)
    begin, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    twos = starts[counts == 2]
    one, other = order[twos], order[twos + 1]
    agrees = begin[one] == end[other]
    one, other = one[agrees], other[agrees]
    many = (counts > 2) & (counts <= MOST_AROUND)
    if many.any():
        more = _paired_around(order, starts[many], counts[many], begin < end, normals)
        one, other = np.concatenate([one, more[0]]), np.concatenate([other, more[1]])
    return np.stack([one // 3, other // 3], axis=1), np.stack([begin[one], end[one]], axis=1)


def _paired_around(
    order: Indices, starts: Indices, counts: Indices, forward: Flags, normals: Points
) -> tuple[Indices, Indices]:
    """Pair half-edges of crowded edges that are the best for each other."""
    groups = np.repeat(np.arange(len(starts)), counts**2)
    steps = np.arange(len(groups)) - np.repeat(np.cumsum(counts**2) - counts**2, counts**2)
    first, second = np.divmod(steps, counts[groups])
    one, other = order[starts[groups] + first], order[starts[groups] + second]
    opposed = forward[one] & ~forward[other]
    one, other = one[opposed], other[opposed]
    cosines = np.einsum("ij,ij->i", normals[one // 3], normals[other // 3])
    likeness = np.rint(cosines / COSINE_STEP)
    ranks = _ranks(order, starts, counts, forward)
    apart = np.abs(ranks[one] - ranks[other])
    best = _is_best(one, likeness, apart) & _is_best(other, likeness, apart)
    return one[best], other[best]


def _ranks(order: Indices, starts: Indices, counts: Indices, forward: Flags) -> Indices:
    """Number the half-edges of a crowded edge that lead the same way, (3 m,) int64."""
    ranks = np.zeros(len(order), dtype=np.int64)
    owners = np.repeat(np.arange(len(starts)), counts)
    steps = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    ring = order[starts[owners] + steps]
    ahead = np.cumsum(forward[ring]) - forward[ring]
    ahead -= ahead[np.cumsum(counts) - counts][owners]
    ranks[ring] = np.where(forward[ring], ahead, steps - ahead)
    return ranks


def _is_best(keys: Indices, likeness: Points, apart: Indices) -> Flags:
    """Whether a row is the one of its key that is most alike, and nearest in order, (r,) bool."""
    order = np.lexsort((apart, -likeness, keys))
    first = np.diff(keys[order], prepend=-1) != 0
    found = np.zeros(len(keys), dtype=np.bool_)
    found[order[first]] = True
    return found
