"""Pulls surfaces apart where they touch, so that no edge has more than two faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.meshes.closing.closed_surface import ClosedSurface
from backend.meshes.closing.half_edges import Indices, Points, edge_groups
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.closing.solidity import face_normals
from backend.meshes.positions import numbered_positions

GAP = 1e-5  # of the size


def pull_apart(closed: ClosedSurface) -> JoinedSurface:
    """Move the fans at crowded edges inwards by a hundred-thousandth of the size.

    Those in one place move by different amounts.
    """
    surface = closed.surface
    places = numbered_positions(closed.points)
    fans = np.flatnonzero(np.isin(places[: len(surface.points)], _crowded(places[closed.faces])))
    order = fans[np.argsort(places[fans], kind="stable")]
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    ranks = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    size = float(np.linalg.norm(np.ptp(surface.points, axis=0)))
    points = surface.points.copy()
    points[order] -= GAP * size * (1 + ranks)[:, None] * _fan_normals(surface)[order]
    return replace(surface, points=points)


def _crowded(faces: Indices) -> Indices:
    """Places at the ends of edges that more than two faces share."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    order, starts, counts = edge_groups(faces)
    half = order[starts[counts > 2]]
    start, stop = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    return np.unique(np.concatenate([start[half], stop[half]]))


def _fan_normals(surface: JoinedSurface) -> Points:
    summed = np.zeros_like(surface.points)
    normals = face_normals(surface.points, surface.faces)
    for corner in range(3):
        np.add.at(summed, surface.faces[:, corner], normals)
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.asarray(summed / np.maximum(lengths, 1e-300))
