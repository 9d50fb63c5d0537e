"""Turns faces so that neighbours look to the same side."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Indices, edge_groups


def faces_to_turn(faces: Indices) -> NDArray[np.bool_]:
    """Say which faces to turn over, (m,) bool; as few as possible of every body.

    Each face stands twice in a graph, as it is and turned over; neighbours that agree are linked
    as they are. What hangs together then is one way of turning a whole body. A body that has
    only one side, like a Moebius strip, is left alone.
    """
    order, starts, counts = edge_groups(faces)
    twos = starts[counts == 2]
    one, other = order[twos], order[twos + 1]
    forward = (faces < np.roll(faces, -1, axis=1)).reshape(-1)
    clash = forward[one] == forward[other]
    if not clash.any():
        return np.zeros(len(faces), dtype=bool)
    count = len(faces)
    left, right = one // 3, other // 3
    start = np.concatenate([left, left + count])
    stop = np.concatenate([right + count * clash, right + count * ~clash])
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (2 * count, 2 * count))
    _, groups = connected_components(links, directed=False)
    as_is, turned = groups[:count], groups[count:]
    kept = np.bincount(as_is, minlength=int(groups.max()) + 1)
    fewer = kept[as_is] < kept[turned]
    tie = (kept[as_is] == kept[turned]) & (as_is > turned)
    return np.asarray(fewer | tie)
