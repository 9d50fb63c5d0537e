"""Takes fur and noise off the surface that is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags

from backend.meshes.parts.surface import Surface

CONCAVE_SHARE = 0.35
"""Smooth bodies have fewer concave edges than convex ones; noise has as many."""
SPIKE_SHARE, SPIKE_WEIGHT = 0.15, 0.125
"""Spikes are fewer and sharper: an eighth of what that share of the edges turns inwards."""
ROUGH_TURN_RAD = 0.05
CALM_TURN_RAD = 0.03
MOST_ROUNDS = 20
SHRINK = 0.5


def smoothed_if_rough(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Move vertices to the middle of their neighbours until it is no longer rough.

    A surface that is not rough all over stays as it is.

    Parameters
    ----------
    vertices : (n, 3) float64
    faces : (m, 3) int64
        That look outwards.

    Returns
    -------
    (n, 3) float64
    """
    if roughness(Surface.of(vertices, faces)) < ROUGH_TURN_RAD:
        return vertices
    average = _neighbour_average(faces, len(vertices))
    for _ in range(MOST_ROUNDS):
        vertices = vertices + SHRINK * (average @ vertices - vertices)
        if roughness(Surface.of(vertices, faces)) < CALM_TURN_RAD:
            break
    return vertices


def roughness(surface: Surface) -> float:
    """Tell by how much a share of the edges turns inwards at least, in radians.

    Zero or negative on smooth bodies; above 0.05 for noise of 0.1 % of the size where edges are
    1.5 % long.
    """
    if not len(surface.pairs):
        return 0.0
    inwards = np.where(surface.is_convex, -surface.turns, surface.turns)
    usual, sharp = np.quantile(inwards, [1 - CONCAVE_SHARE, 1 - SPIKE_SHARE])
    return float(max(usual, SPIKE_WEIGHT * sharp))


def _neighbour_average(faces: NDArray[np.int64], count: int) -> csr_matrix:
    """Average over the neighbours of each vertex; a vertex without any stays, (n, n)."""
    start, stop = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    alone = np.setdiff1d(np.arange(count), faces)
    rows, columns = np.concatenate([start, stop, alone]), np.concatenate([stop, start, alone])
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count)).tocsr()
    return csr_matrix(diags(1 / np.asarray(links.sum(axis=1)).reshape(-1)) @ links)
