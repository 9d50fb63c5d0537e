"""Whether collapses would tear, fold or smear the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.decimation.edge_table import EdgeTable, SeamedFaces

STAYS = -1
MIN_COSINE = 0.2  # between the normals of a face before and after
MIN_SHAPE = 0.02  # doubled area by the square of the longest edge; thinner only where it was
MAX_THINNING = 0.7  # of the shape, for faces that are thin already


@dataclass(frozen=True)
class Collapses:
    """Vertices that move onto a neighbour; no two have a face in common.

    Parameters
    ----------
    start, stop : (c,) int64
        Places.
    edges : (c,) int64
        Rows of the edge table.
    """

    start: Indices
    stop: Indices
    edges: Indices

    def chosen(self, keep: NDArray[np.bool_] | Indices) -> Collapses:
        """Keep some."""
        return Collapses(self.start[keep], self.stop[keep], self.edges[keep])


def wedge_targets(
    faces: SeamedFaces, table: EdgeTable, moves: Collapses
) -> tuple[Indices, Indices]:
    """Find where each wedge of a vertex goes: to that of its side of the edge.

    Returns
    -------
    targets : (w,) int64
        The new wedge, or STAYS.
    torn : (t,) int64
        Places whose wedges cannot all move.
    """
    targets = np.full(len(faces.wedge_places), STAYS, dtype=np.int64)
    torn = []
    for side in (0, 1):
        half = table.sides[moves.edges, side]
        rows = half >= 0
        here, there = _wedges_along(faces, half[rows], moves.start[rows])
        known = targets[here]
        torn.append(moves.start[rows][(known != STAYS) & (known != there)])
        targets[here] = there
    to = np.full(int(faces.wedge_places.max()) + 1, STAYS, dtype=np.int64)
    to[moves.start] = moves.stop
    places = faces.places
    torn.append(places[(to[places] != STAYS) & (targets[faces.wedges] == STAYS)])
    return targets, np.unique(np.concatenate(torn))


def _wedges_along(faces: SeamedFaces, half: Indices, start: Indices) -> tuple[Indices, Indices]:
    """Return the wedges at the start and at the other end of each edge, on the side of a face."""
    first = faces.wedges.reshape(-1)[half]
    second = faces.wedges.reshape(-1)[half - half % 3 + (half + 1) % 3]
    is_along = faces.wedge_places[first] == start
    return np.where(is_along, first, second), np.where(is_along, second, first)


def folding(
    points: Points,
    uvs: Points | None,
    faces: SeamedFaces,
    moves: Collapses,
    targets: Indices,
) -> Indices:
    """List the places whose move would fold a face, in space or in its texture, or make it thin."""
    to = np.arange(len(points))
    to[moves.start] = moves.stop
    places = faces.places
    moved = to[places]
    touched = np.flatnonzero((moved != places).any(axis=1))
    before, after = places[touched], moved[touched]
    a, b, c = after.T
    alive = (a != b) & (b != c) & (c != a)
    touched, before, after = touched[alive], before[alive], after[alive]
    bad = _turns_over(points, before, after) | _is_thinner(points, before, after)
    if uvs is not None:
        wedges = faces.wedges[touched]
        new = np.where(targets[wedges] == STAYS, wedges, targets[wedges])
        bad |= _doubled_areas(uvs[wedges]) * _doubled_areas(uvs[new]) < 0
    return np.unique(before[bad][before[bad] != after[bad]])


def _turns_over(points: Points, before: Indices, after: Indices) -> NDArray[np.bool_]:
    old, new = _normals(points, before), _normals(points, after)
    lengths = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
    return np.asarray((np.sum(old * new, axis=1) < MIN_COSINE * lengths) | ~new.any(axis=1))


def _is_thinner(points: Points, before: Indices, after: Indices) -> NDArray[np.bool_]:
    shape = _shapes(points, after)
    return np.asarray((shape < MIN_SHAPE) & (shape < MAX_THINNING * _shapes(points, before)))


def _shapes(points: Points, faces: Indices) -> Points:
    """Twice the area by the square of the longest edge, (m,): 0.87 when all edges are equal."""
    corners = points[faces]
    longest = np.sum((corners - np.roll(corners, -1, axis=1)) ** 2, axis=2).max(axis=1)
    areas = np.linalg.norm(_normals(points, faces), axis=1)
    return np.asarray(areas / np.maximum(longest, 1e-300))


def _normals(points: Points, faces: Indices) -> Points:
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def _doubled_areas(corners: Points) -> Points:
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def pinching(table: EdgeTable, moves: Collapses, count: int) -> Indices:
    """List the places whose move would pinch the surface (link condition).

    Both ends of the edge may have as many neighbours in common as the edge has faces, no more.

    Source
    ------
    Dey, Edelsbrunner, Guha, Nekhayev, "Topology preserving edge contraction", 1999.
    """
    stop = np.full(count, STAYS, dtype=np.int64)
    stop[moves.start] = moves.stop
    start = np.concatenate([table.ends[:, 0], table.ends[:, 1]])
    near = np.concatenate([table.ends[:, 1], table.ends[:, 0]])
    rows = stop[start] != STAYS
    start, near = start[rows], near[rows]
    beyond = stop[start]
    keys = table.ends[:, 0] * count + table.ends[:, 1]
    wanted = np.minimum(beyond, near) * count + np.maximum(beyond, near)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    shared = (keys[at] == wanted) & (beyond != near)
    common = np.bincount(start[shared], minlength=count)
    sides = 1 + (table.sides[moves.edges, 1] >= 0)
    degrees = np.bincount(table.ends.reshape(-1), minlength=count)
    tiny = (degrees[moves.start] == 3) & (degrees[moves.stop] == 3)  # a tetrahedron would vanish
    return np.asarray(moves.start[(common[moves.start] != sides) | tiny])
