"""Closes slits where a corner of one face lies on the edge of another, as in files from CAD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.parts.refinement import split_faces

TOLERANCE = 1e-4
"""Of the longest side of the thing."""
ROUNDS = 12
MOST_OPEN_EDGES = 20_000
"""With more than these, faces are torn apart in other ways."""
MOST_SAMPLES = 100_000
NEAREST = 8


def split_at_junctions(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split faces where vertices lie on their open edges, so that both sides share them.

    Parameters
    ----------
    vertices : (n, 3) float64
        Welded, from 0 to 1.
    faces : (m, 3) int64

    Returns
    -------
    faces : (k, 3) int64
    parents : (k,) int64
        The given face that each face is a piece of.
    """
    parents = np.arange(len(faces))
    for _ in range(ROUNDS):
        open_edges = _open_edges(faces)
        if not 0 < len(open_edges) <= MOST_OPEN_EDGES:
            break
        middles = _on_edges(vertices, faces, open_edges)
        if not (middles >= 0).any():
            break
        faces, parents = split_faces(faces, parents, middles)
    return faces, parents


def _open_edges(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the edges of one face only, (e,) int64, as face * 3 + corner where they start."""
    if not len(faces):
        return np.zeros(0, dtype=np.int64)
    start, stop = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    keys = np.minimum(start, stop) * (int(faces.max()) + 1) + np.maximum(start, stop)
    order = np.argsort(keys, kind="stable")
    changes = np.diff(keys[order], prepend=-1, append=-1) != 0
    return np.asarray(order[changes[1:] & changes[:-1]])


def _on_edges(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Choose for each edge of each face the vertex nearest to its middle, (m, 3), -1 for none."""
    start, stop = faces.reshape(-1)[edges], faces[:, [1, 2, 0]].reshape(-1)[edges]
    corners = np.unique(np.concatenate([start, stop]))
    at, found = _near_edges(vertices, start, stop, corners)
    along, aside = _placed(vertices[start[at]], vertices[stop[at]], vertices[found])
    reach = np.linalg.norm(vertices[stop[at]] - vertices[start[at]], axis=1)
    inside = np.minimum(along, 1 - along) * reach > TOLERANCE
    good = inside & (aside < TOLERANCE)
    at, found, along = at[good], found[good], along[good]
    order = np.argsort(-np.abs(along - 0.5), kind="stable")  # the last one, the middle, stays
    middles = np.full(faces.size, -1)
    middles[edges[at[order]]] = found[order]
    return middles.reshape(-1, 3)


def _near_edges(
    vertices: NDArray[np.float64],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    corners: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List edges with the corners near points along them, (p,) int64 each."""
    way = vertices[stop] - vertices[start]
    lengths = np.linalg.norm(way, axis=1)
    step = max(float(np.median(lengths)) / 2, float(lengths.sum()) / MOST_SAMPLES, TOLERANCE)
    number = np.ceil(lengths / step).astype(np.int64)
    at = np.repeat(np.arange(len(start)), number)
    place = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)
    share = (place + 0.5) / number[at]
    count = min(NEAREST, len(corners))
    points = vertices[start[at]] + share[:, None] * way[at]
    _, near = cKDTree(vertices[corners]).query(points, k=count)
    return np.repeat(at, count), corners[np.reshape(near, -1)]


def _placed(
    start: NDArray[np.float64], stop: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where points lie along lines, as a share, and how far off them."""
    way, to = stop - start, points - start
    along = np.einsum("ij,ij->i", way, to) / np.maximum(np.einsum("ij,ij->i", way, way), 1e-300)
    return along, np.linalg.norm(to - along[:, None] * way, axis=1)
