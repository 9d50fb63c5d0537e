"""Moves the vertices that are left along their normals to where they fit the planes around best."""

from __future__ import annotations

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.solidity import face_normals
from backend.meshes.decimation.edge_table import FREE, SEAM, EdgeTable, SeamedFaces

MAX_LIFT = 0.2  # of the shortest edge at the vertex


def lift(points: Points, quadrics: Points, faces: SeamedFaces, edges: EdgeTable) -> Points:
    """Lift vertices, (p, 3) float64; those on borders and where lines meet stay.

    A surface whose vertices all lie on the round thing it stands for is too small by what its
    faces cut off. Along the normal the texture does not slip.

    Parameters
    ----------
    points : (p, 3) float64
    quadrics : (p, 10) float64
        What each vertex stands for.
    """
    places = faces.places
    normals = _normals(points, places)
    lines = edges.vertex_lines(faces, len(points))
    may = ((lines == FREE) | (lines == SEAM)) & normals.any(axis=1)
    steps = np.where(may, _best_steps(points, quadrics, normals), 0.0)
    most = MAX_LIFT * _shortest_edges(points, edges)
    return np.asarray(points + np.clip(steps, -most, most)[:, None] * normals)


def _best_steps(points: Points, quadrics: Points, normals: Points) -> Points:
    """Distance along the normal at which the quadric is least, (p,): it is a parabola there."""
    xx, xy, xz, xw, yy, yz, yw, zz, zw, _ = quadrics.T
    rows = np.stack(
        [np.stack(row, axis=1) for row in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))], axis=1
    )
    linear = np.stack([xw, yw, zw], axis=1)
    slope = np.sum(normals * (np.einsum("nij,nj->ni", rows, points) + linear), axis=1)
    bend = np.einsum("ni,nij,nj->n", normals, rows, normals)
    return np.where(bend > 1e-12, -slope / np.maximum(bend, 1e-12), 0.0)


def _normals(points: Points, places: Indices) -> Points:
    """Unit normals of the vertices in use, zero for the others."""
    summed = np.zeros_like(points)
    own = face_normals(points, places)
    for corner in range(3):
        for axis in range(3):
            summed[:, axis] += np.bincount(places[:, corner], own[:, axis], len(points))
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.asarray(np.where(lengths > 0, summed / np.maximum(lengths, 1e-300), 0.0))


def _shortest_edges(points: Points, edges: EdgeTable) -> Points:
    start, stop = edges.ends.T
    lengths = np.linalg.norm(points[start] - points[stop], axis=1)
    shortest = np.full(len(points), np.inf)
    np.minimum.at(shortest, start, lengths)
    np.minimum.at(shortest, stop, lengths)
    return np.where(np.isfinite(shortest), shortest, 0.0)
