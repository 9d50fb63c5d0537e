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


def of_well_seen_bodies(graph: SurfaceGraph, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which nodes are of a body that is seen well enough to tell its colours, (n,) bool."""
    is_well_seen = np.bincount(graph.bodies, seen) >= LEAST_SEEN * np.bincount(graph.bodies)
    return np.asarray(is_well_seen[graph.bodies])


def behind_another_body(
    view: PictureView,
    graph: SurfaceGraph,
    places: NDArray[np.float64],
    asked: NDArray[np.bool_],
    seen: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Say which nodes the picture hides behind another body than theirs, if it shows any of theirs.

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
    is_shown = np.bincount(graph.bodies, seen) > 0
    asked = asked & is_shown[graph.bodies]
    behind = np.zeros_like(asked)
    if len(is_shown) == 1 or not asked.any():
        return behind
    shown = np.flatnonzero(seen)
    tree = cKDTree(places[shown])
    for aside in BESIDE * graph.spacing * view.size * CROSS:
        near = tree.query(view.shown_before(places[asked], *aside))[1]
        behind[asked] |= graph.bodies[shown[near]] != graph.bodies[asked]
    return behind
