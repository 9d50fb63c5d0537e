"""Counts how faces meet along the edges of a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Indices, edge_groups


@dataclass(frozen=True)
class SurfaceEdges:
    """How the faces of a surface meet.

    Parameters
    ----------
    border : (b, 2) int64
        Ends of the edges that have one face.
    non_manifold : int
        Edges with more than two faces.
    clashing : int
        Edges whose two faces look to different sides.
    is_open : (m,) bool
        Whether a face hangs together, over edges, with a border or a wrong edge.
    bodies : (m,) int64
        The piece that each face belongs to; pieces that only touch in a vertex are several.
    """

    border: Indices
    non_manifold: int
    clashing: int
    is_open: NDArray[np.bool_]
    bodies: Indices

    @property
    def is_watertight(self) -> bool:
        """Whether each edge has two faces."""
        return not len(self.border) and not self.non_manifold

    @property
    def border_loops(self) -> int:
        """Number of borders, each of edges that hang together."""
        if not len(self.border):
            return 0
        ends, numbers = np.unique(self.border, return_inverse=True)
        start, stop = numbers.reshape(-1, 2).T
        links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (len(ends), len(ends)))
        return int(connected_components(links, directed=False)[0])


def surface_edges(faces: Indices) -> SurfaceEdges:
    """Look at all edges.

    Parameters
    ----------
    faces : (m, 3) int64
        Places of the corners; no face has the same twice.
    """
    order, starts, counts = edge_groups(faces)
    forward = (faces < np.roll(faces, -1, axis=1)).reshape(-1)
    twos = starts[counts == 2]
    one, other = order[twos], order[twos + 1]
    clash = forward[one] == forward[other]
    alone, many = order[starts[counts == 1]], counts > 2
    crowd = np.repeat(many, counts)
    wrong = np.concatenate([alone, order[crowd], one[clash], other[clash]])
    bodies = _bodies(faces, order, counts)
    open_bodies = np.zeros(int(bodies.max(initial=-1)) + 1, dtype=bool)
    open_bodies[bodies[wrong // 3]] = True
    ends = np.roll(faces, -1, axis=1).reshape(-1)
    border = np.stack([faces.reshape(-1)[alone], ends[alone]], axis=1)
    return SurfaceEdges(
        border, int(many.sum()), int(clash.sum()), np.asarray(open_bodies[bodies]), bodies
    )


def _bodies(faces: Indices, order: Indices, counts: Indices) -> Indices:
    """Join the faces that share an edge, (m,) int64."""
    follows = np.ones(len(order), dtype=bool)
    follows[np.cumsum(counts) - counts] = False
    second = np.flatnonzero(follows)
    start, stop = order[second - 1] // 3, order[second] // 3
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (len(faces), len(faces)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
