"""Colours that spread over a surface as heat does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph

Values = NDArray[np.float64]


def fill(graph: SurfaceGraph, colours: Values, is_known: NDArray[np.bool_]) -> Values:
    """Give each unknown node the weighted mean of its neighbours.

    A body without a known node takes the colours of the known nodes nearest in space.

    Parameters
    ----------
    graph : SurfaceGraph
    colours : (n, c) float64
        Read at known nodes.
    is_known : (n,) bool
        At least one.

    Returns
    -------
    (n, c) float64
        Known nodes as they were.

    Source
    ------
    The discrete Dirichlet problem on the graph of edges (Zhu, Ghahramani, Lafferty,
    "Semi-supervised learning using Gaussian fields and harmonic functions", 2003).
    """
    filled = np.where(is_known[:, None], colours, 0.0)
    has_known = np.bincount(graph.bodies, is_known) > 0
    apart = ~has_known[graph.bodies]
    if apart.any():
        known = np.flatnonzero(is_known)
        near = cKDTree(graph.points[known]).query(graph.points[apart])[1]
        filled[apart] = colours[known[near]]
    unknown = np.flatnonzero(~is_known & ~apart)
    # Minimum degree breaks ties by number: in the order in which edges were halved, factors of
    # one slender bar took a hundred times as long.
    unknown = np.random.default_rng(0).permutation(unknown)
    if len(unknown):
        filled[unknown] = _solve(graph.weights, filled, unknown)
    return filled


def _solve(weights: sparse.csr_array, filled: Values, unknown: NDArray[np.int64]) -> Values:
    rows = weights[unknown]
    inside = rows[:, unknown]
    total = rows.sum(axis=1)
    system = sparse.diags_array(total, format="csc") - inside.tocsc()
    given = rows @ filled  # unknown nodes are 0 in it
    factors = splu(
        system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )  # fmt: skip
    return np.asarray(factors.solve(given))
