"""Places behind which another body stands in the picture: a pocket before a bag, arms of a doll."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.texturing.unseen_colour.picture_view import PictureView
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph

LEAST_SEEN = 0.05
"""Of a body's nodes: one hardly seen, as the back half of a shell is, has no better guess."""

BESIDE = 0.7
"""Distances of nodes: so far aside a place looks too, twice the blur of its colour."""

CROSS = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], dtype=np.float64)


def behind_another_body(
    view: PictureView,
    graph: SurfaceGraph,
    places: NDArray[np.float64],
    asked: NDArray[np.bool_],
    seen: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Say which nodes the picture hides behind another body than theirs, although it shows theirs.

    Parameters
    ----------
    places : (n, 3) float64
        Of the nodes, in the unit of the picture's frame.
    asked : (n,) bool
        Nodes to look at.
    seen : (n,) bool
        Nodes that a picture shows; at least one.

    Returns
    -------
    (n,) bool
    """
    counts = np.bincount(graph.bodies)
    is_shown = np.bincount(graph.bodies, seen) >= LEAST_SEEN * counts
    asked = asked & is_shown[graph.bodies]
    behind = np.zeros_like(asked)
    if len(counts) == 1 or not asked.any():
        return behind
    shown = np.flatnonzero(seen)
    tree = cKDTree(places[shown])
    for aside in BESIDE * graph.spacing * view.size * CROSS:
        near = tree.query(view.shown_before(places[asked], *aside))[1]
        behind[asked] |= graph.bodies[shown[near]] != graph.bodies[asked]
    return behind
