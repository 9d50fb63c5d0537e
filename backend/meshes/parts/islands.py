"""Leaves no specks behind where labels were handed from one surface to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from backend.meshes.parts.surface import neighbours

JAG_ROUNDS = 6


def without_islands(
    faces: NDArray[np.int64], labels: NDArray[np.int64], *, is_jagged: bool
) -> NDArray[np.int64]:
    """Give the smaller pieces of each label to what they lie in, unless nothing touches them.

    Parameters
    ----------
    faces : (m, 3) int64
        Over welded vertices.
    labels : (m,) int64
        From 0.
    is_jagged : bool
        Smooth the borders before: a face goes with two of its three neighbours.

    Returns
    -------
    (m,) int64
    """
    pairs = neighbours(faces)
    found = labels.astype(np.int32)  # half as much to read for every look at the borders
    for number in range(JAG_ROUNDS if is_jagged else 0):
        _smooth_jags(pairs, found, upwards=bool(number % 2))
    small = _small_pieces(pairs, found)
    while small.any():
        border = pairs[small[pairs[:, 0]] != small[pairs[:, 1]]]
        if not len(border):
            break  # bodies of their own
        inside = np.where(small[border[:, 0]], border[:, 0], border[:, 1])
        outside = np.where(small[border[:, 0]], border[:, 1], border[:, 0])
        found[inside] = found[outside]
        small[inside] = False
    return found.astype(np.int64)


def _smooth_jags(pairs: NDArray[np.int64], labels: NDArray[np.int32], *, upwards: bool) -> None:
    """Change outvoted faces, to higher labels or to lower ones, so that no two change places."""
    border = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    span = int(labels.max()) + 1
    at = np.concatenate([border[:, 0], border[:, 1]])
    other = np.concatenate([labels[border[:, 1]], labels[border[:, 0]]])
    keys, counts = np.unique(at * span + other, return_counts=True)
    at, new = np.divmod(keys[counts >= 2], span)
    chosen = (new > labels[at]) == upwards
    labels[at[chosen]] = new[chosen]


def _small_pieces(pairs: NDArray[np.int64], labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each face is in a piece that is not the largest of its label."""
    same = pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]]
    ones = np.ones(len(same), dtype=np.int8)
    links = coo_matrix((ones, (same[:, 0], same[:, 1])), (len(labels),) * 2)
    count, pieces = connected_components(links, directed=False)
    sizes = np.bincount(pieces, minlength=count)
    owners = np.zeros(count, dtype=np.int64)
    owners[pieces] = labels
    order = np.lexsort((sizes, owners))
    is_largest = np.zeros(count, dtype=np.bool_)
    is_largest[order[np.flatnonzero(np.diff(owners[order], append=-1))]] = True
    return np.asarray(~is_largest[pieces])
