"""Joins vertices that rounding has torn apart."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Indices, same_places
from backend.meshes.positions import numbered_positions

CELLS = 2**20  # on the long side


def near_places(vertices: NDArray[np.floating]) -> Indices:
    """Number the places where vertices lie, (n,) int64; what is a two-millionth apart is one place.

    Places that share a cell of one of eight grids, each shifted by half a cell, are joined:
    whatever is less than half a cell apart shares one. Where no grid finds anything to join,
    places are those of equal positions.
    """
    places = same_places(vertices)
    if not len(places) or numbered_positions(vertices).max() == places.max():
        return places
    low = vertices.min(axis=0).astype(np.float64)
    scaled = (vertices - low) * (CELLS / float((vertices.max(axis=0) - low).max()))
    count = len(vertices)
    start, stop, nodes = [np.arange(count)], [places + count], count + int(places.max()) + 1
    for shift in np.ndindex(2, 2, 2):
        cells = np.floor(scaled + np.array(shift) / 2).astype(np.int64)
        keys = (cells[:, 0] * (CELLS + 2) + cells[:, 1]) * (CELLS + 2) + cells[:, 2]
        labels = np.unique(keys, return_inverse=True)[1].reshape(-1)
        start.append(np.arange(count))
        stop.append(labels + nodes)
        nodes += int(labels.max()) + 1
    links = (np.concatenate(start), np.concatenate(stop))
    graph = sparse.coo_matrix((np.ones(len(links[0])), links), (nodes, nodes))
    joined = connected_components(graph, directed=False)[1][:count]
    return np.unique(joined, return_inverse=True)[1].reshape(-1).astype(np.int64)
