"""Flat plates as graphs of places."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph
from backend.meshes.triangle_mesh import TriangleMesh


def plate(rows: int, columns: int, height: float = 1.0) -> TriangleMesh:
    """Make a flat plate; its cells are not square where rows are not columns."""
    y, x = np.mgrid[0 : 1 : columns * 1j, 0 : height : rows * 1j]
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    at = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])
    return TriangleMesh(points.astype(np.float32), faces.astype(np.int32))


def graph_of(mesh: TriangleMesh) -> SurfaceGraph:
    return SurfaceGraph.of(mesh, mesh.vertices.astype(np.float64))
