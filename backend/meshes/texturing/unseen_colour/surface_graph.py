"""A surface as places joined by edges, few enough to solve for a colour at each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals

MOST_NODES = 25_000
CLUSTERED_NODES = 16_000
"""Wanted where vertices are put together; cells that the surface grazes make more of them."""
ROUNDS_TO_VERTICES = 4
LEAST_WEIGHT, MOST_WEIGHT = 0.02, 10.0

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceGraph:
    """Places on a surface and what joins them.

    Parameters
    ----------
    points, normals : (n, 3) float64
        Of the nodes; the surface is about 1 in size.
    weights : (n, n) sparse float64
        Symmetric: how strongly nodes that share an edge pull at each other.
    bodies : (n,) int32
        Which connected piece each node belongs to.
    spacing : float
        Median length of an edge.
    node_of : (v,) int64
        The node that stands for each vertex of the mesh.
    vertex_weights : (v, v) sparse float64
        As ``weights``, between vertices.
    """

    points: Values
    normals: Values
    weights: sparse.csr_array
    bodies: NDArray[np.int32]
    spacing: float
    node_of: NDArray[np.int64]
    vertex_weights: sparse.csr_array

    @classmethod
    def of(cls, mesh: TriangleMesh, points: Values) -> SurfaceGraph:
        """Join the vertices of a mesh by its edges; put vertices together where they are many.

        Parameters
        ----------
        mesh : TriangleMesh
            With at least one face.
        points : (v, 3) float64
            Its vertices, about 1 in size.
        """
        normals = vertex_normals(TriangleMesh(points.astype(np.float32), mesh.faces))
        weights = _cotangents(points, mesh.faces)
        bodies = connected_components(weights, directed=False)[1]
        everyone = np.arange(len(points))
        if len(points) <= MOST_NODES:
            kept, spacing = normals.astype(np.float64), _spacing(points, weights)
            return cls(points, kept, weights, bodies, spacing, everyone, weights)
        node_of = _clusters(points, normals, bodies, mesh.faces)
        means = _means(np.hstack([points, normals]), node_of)
        length = np.maximum(np.linalg.norm(means[:, 3:], axis=1, keepdims=True), 1e-12)
        between = _between(weights, node_of)
        first = np.unique(node_of, return_index=True)[1]
        spacing = _spacing(means[:, :3], between)
        return cls(
            means[:, :3], means[:, 3:] / length, between, bodies[first], spacing, node_of, weights
        )

    def smoothed(self, values: Values, rounds: int) -> Values:
        """Average values of nodes with those of their neighbours, half and half, again and again.

        Parameters
        ----------
        values : (n, ...) float64
        """
        return _smoothed(self.weights, values, rounds)

    def to_vertices(self, values: Values) -> Values:
        """Give every vertex the value of its node, without the steps between clusters."""
        spread = values[self.node_of]
        if len(self.points) == len(self.node_of):
            return spread
        return _smoothed(self.vertex_weights, spread, ROUNDS_TO_VERTICES)


def _cotangents(points: Values, faces: NDArray[np.int32]) -> sparse.csr_array:
    """Join places by half the cotangents of the angles across their edge, never less than a bit.

    Source
    ------
    Pinkall, Polthier, "Computing discrete minimal surfaces and their conjugates" (1993).
    """
    shape = (len(points), len(points))
    total = sparse.csr_array(shape)
    for corner in range(3):
        tip, one, other = (faces[:, (corner + step) % 3] for step in range(3))
        first, second = points[one] - points[tip], points[other] - points[tip]
        area = np.linalg.norm(np.cross(first, second), axis=1)
        slope = np.einsum("ij,ij->i", first, second) / np.maximum(area, 1e-30)
        weight = np.clip(slope / 2, LEAST_WEIGHT, MOST_WEIGHT)
        total = total + sparse.csr_array((weight, (one, other)), shape=shape)
    return sparse.csr_array(total + total.T)


def _between(weights: sparse.csr_array, node_of: NDArray[np.int64]) -> sparse.csr_array:
    """Join clusters by all that joins their members."""
    pairs = weights.tocoo()
    one, other = node_of[pairs.coords[0]], node_of[pairs.coords[1]]
    apart = one != other
    count = int(node_of.max()) + 1
    shape = (count, count)
    return sparse.csr_array((pairs.data[apart], (one[apart], other[apart])), shape=shape)


def _spacing(points: Values, weights: sparse.csr_array) -> float:
    one, other = sparse.triu(weights, 1).coords
    length = np.linalg.norm(points[one] - points[other], axis=1)
    return float(np.median(length)) if len(length) else 0.0


def _clusters(
    points: Values,
    normals: NDArray[np.float32],
    bodies: NDArray[np.int32],
    faces: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Put vertices of one body in one cell, facing one way, together."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    cell = max(np.sqrt(area / CLUSTERED_NODES), 1e-9)
    cells = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (normals[np.arange(len(axis)), axis] > 0)
    across = cells.max(axis=0) + 1
    key = (cells[:, 0] * across[1] + cells[:, 1]) * across[2] + cells[:, 2]
    in_body = (key * 6 + way) * (int(bodies.max()) + 1) + bodies
    found: NDArray[np.int64] = np.unique(in_body, return_inverse=True)[1]
    return found.reshape(-1)


def _means(values: Values, groups: NDArray[np.int64]) -> Values:
    counts = np.maximum(np.bincount(groups), 1)
    sums = [np.bincount(groups, column) for column in values.T]
    return np.stack(sums, axis=1) / counts[:, None]


def _smoothed(weights: sparse.csr_array, values: Values, rounds: int) -> Values:
    total = weights.sum(axis=1)
    shape = (len(total),) + (1,) * (values.ndim - 1)
    scale = (0.5 / np.where(total > 0, total, 1.0)).reshape(shape)
    alone = (total <= 0).reshape(shape)
    for _ in range(rounds):
        values = np.where(alone, values, 0.5 * values + scale * (weights @ values))
    return values
