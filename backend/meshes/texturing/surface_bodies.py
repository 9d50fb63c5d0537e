"""Which faces belong to one body, also where bodies touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import edge_groups, same_places
from backend.meshes.equal_rows import equal_rows


def bodies_of(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number the bodies that faces belong to.

    Parameters
    ----------
    vertices : (n, 3) float
        Those in one place count as one.
    faces : (m, 3) int

    Returns
    -------
    (m,) int64
        From 0. Faces go on into each other where an edge has two of them, so bodies that meet in
        a vertex, along an edge or in a face stay apart. Faces with the same corners are of one
        body; one with two corners in one place is a body of its own.
    """
    corners = np.sort(same_places(vertices)[faces], axis=1)
    _, first, twins = equal_rows(corners)
    a, b, c = corners[first].T
    proper = np.flatnonzero((a != b) & (b != c))
    order, starts, counts = edge_groups(corners[first[proper]])
    twos = starts[counts == 2]
    ends = [proper[order[twos + step] // 3] for step in (0, 1)]
    shape = (len(first), len(first))
    links = sparse.coo_array((np.ones(len(twos), dtype=np.int8), tuple(ends)), shape)
    found = connected_components(links, directed=False)[1]
    return np.asarray(found[twins], dtype=np.int64)
