"""Smoothing that does not shrink."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from backend.meshes.triangle_mesh import TriangleMesh

SHRINK, GROW = 0.5, -0.53


def taubin(mesh: TriangleMesh, rounds: int) -> TriangleMesh:
    """Smooth by alternating a shrinking and a growing step.

    Parameters
    ----------
    mesh : TriangleMesh
    rounds : int
        Pairs of steps.

    Source
    ------
    Taubin, "A signal processing approach to fair surface design", 1995, factors .5 and -.53.
    """
    average = _neighbour_average(mesh)
    vertices = mesh.vertices.astype(np.float64)
    for _ in range(rounds):
        for factor in (SHRINK, GROW):
            vertices = vertices + factor * (average @ vertices - vertices)
    return mesh.with_vertices(vertices)


def _neighbour_average(mesh: TriangleMesh) -> sparse.csr_matrix:
    faces = mesh.faces
    start = faces[:, [0, 1, 2]].reshape(-1)
    stop = faces[:, [1, 2, 0]].reshape(-1)
    count = len(mesh.vertices)
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (count, count)).tocsr()
    links = links + links.T
    links.data[:] = 1.0
    degree = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1)
    return sparse.diags(1 / degree).tocsr() @ links
