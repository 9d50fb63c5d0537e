"""Gives sheets a back and walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.meshes.closing.closed_surface import NO_LOOK
from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.closing.solidity import face_normals


@dataclass(frozen=True)
class Backs:
    """Faces behind a sheet, and the walls along its borders.

    Parameters
    ----------
    points : (p, 3) float64
    faces : (f, 3) int64
        Numbered among all points.
    looks : (f,) int64
        The face in front of each face; NO_LOOK for walls.
    beside : (f,) int64
        The face that each belongs to.
    """

    points: Points
    faces: Indices
    looks: Indices
    beside: Indices


def thicken(surface: JoinedSurface, chosen: Indices, depths: Points, first: int) -> Backs:
    """Put a copy of faces behind them; they stay where they are.

    Parameters
    ----------
    surface : JoinedSurface
    chosen : (c,) int64
        Faces; all of a body, or none.
    depths : (c,) float64
        How far behind each the back is.
    first : int
        Number of the first point added.
    """
    fronts = surface.faces[chosen]
    fans, compact = np.unique(fronts, return_inverse=True)
    compact = compact.reshape(-1, 3)
    points = surface.points[fans] - _displacements(surface, chosen, compact, depths, len(fans))
    back_of = np.zeros(len(surface.points), dtype=np.int64)
    back_of[fans] = first + np.arange(len(fans))
    backs = back_of[fronts][:, [0, 2, 1]]
    borders = surface.borders[np.isin(surface.borders // 3, chosen)]
    here = surface.faces.reshape(-1)[borders]
    there = np.roll(surface.faces, -1, axis=1).reshape(-1)[borders]
    walls = [
        np.stack([there, here, back_of[here]], axis=1),
        np.stack([there, back_of[here], back_of[there]], axis=1),
    ]
    return Backs(
        points,
        np.concatenate([backs, *walls]),
        np.concatenate([chosen, np.full(2 * len(borders), NO_LOOK)]),
        np.concatenate([chosen, borders // 3, borders // 3]),
    )


def _displacements(
    surface: JoinedSurface, chosen: Indices, compact: Indices, depths: Points, count: int
) -> Points:
    """Vertex normals as long as the sheet is to be thick, (count, 3) float64."""
    normals = face_normals(surface.points, surface.faces[chosen])
    summed, depth = np.zeros((count, 3)), np.zeros(count)
    for corner in range(3):
        np.add.at(summed, compact[:, corner], normals)
        depth[compact[:, corner]] = depths
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    units = np.where(lengths > 0, summed / np.maximum(lengths, 1e-300), up)
    return np.asarray(units * depth[:, None])
