"""Collapses edges of a surface with seams, many at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.decimation.collapse_checks import (
    STAYS,
    Collapses,
    folding,
    pinching,
    wedge_targets,
)
from backend.meshes.decimation.edge_table import (
    FREE,
    LOCKED,
    EdgeTable,
    SeamedFaces,
    edge_table,
)
from backend.meshes.decimation.lifting import lift
from backend.meshes.decimation.quadrics import monomials, vertex_quadrics

MAX_ROUNDS = 600
ROUNDS_TO_STALL, STALLED_SHARE = 16, 0.01  # so few faces gone in so many rounds is the end
FAR = 2.0  # times the number; nearer, a slow pace is no reason to give up
PATIENCE_ROUNDS, PACE_ROUNDS = 100, 8  # rounds it may still take at the pace of the last ones
RETRIES = 2  # of what did not work: the surface may have changed
CHEAPEST_SHARE = 0.6  # of the vertices that could move, in one round
LENGTH_WEIGHT = 1e-7  # so that on a plane short edges go first
CLASSES_PER_DOUBLING = 0.25
_ODD = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 1 << 19


@dataclass
class _State:
    """What changes from round to round."""

    points: Points
    uvs: Points | None
    faces: SeamedFaces
    quadrics: Points
    terms: Points
    own: Points
    blocked: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def collapse_edges(
    points: Points,
    uvs: Points | None,
    faces: SeamedFaces,
    target_faces: int,
    gives_up: bool = False,
    on_round: Callable[[int], None] = lambda faces: None,
) -> tuple[SeamedFaces, Points]:
    """Reduce faces to a number, or to as few as the surface allows.

    Vertices move onto neighbours, never between them, so that what a vertex has stays true.

    Parameters
    ----------
    points : (p, 3) float64
    uvs : (w, 2) float64 or None
        Texture coordinates of wedges.
    gives_up : bool
        Whether to stop as soon as the number is too far away for the pace.
    on_round : callable
        Called in each round with the number of faces that are left; may raise to stop.

    Returns
    -------
    faces : SeamedFaces
        Over the same points and wedges; they keep their order.
    points : (p, 3) float64
        Those in use are lifted along their normals to where they fit best what they stand for.
    """
    middle, side = points.mean(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-300)
    unit = (points - middle) / side
    quadrics = vertex_quadrics(unit, faces.places, edge_table(faces))
    terms = monomials(unit)
    state = _State(unit, uvs, faces, quadrics, terms, np.sum(quadrics * terms, axis=1))
    for _ in range(1 + RETRIES):
        if not _collapse_until_stalled(state, target_faces, gives_up, on_round):
            break
        state.blocked = state.blocked[:0]
    lifted = lift(unit, state.quadrics, state.faces, edge_table(state.faces))
    moved = (lifted != unit).any(axis=1)[:, None]
    return state.faces, np.where(moved, lifted * side + middle, points)


def _collapse_until_stalled(
    state: _State, target_faces: int, gives_up: bool, on_round: Callable[[int], None]
) -> bool:
    """Collapse in rounds; returns whether another try may get further."""
    counts = [len(state.faces.wedges)]
    while counts[-1] > target_faces and not _has_stalled(counts) and len(counts) <= MAX_ROUNDS:
        if gives_up and _is_too_slow(counts, target_faces):
            return False
        on_round(counts[-1])
        if not _round(state, target_faces):
            break
        counts.append(len(state.faces.wedges))
    return counts[-1] > target_faces


def _is_too_slow(counts: list[int], target_faces: int) -> bool:
    """Whether the number is far away at the pace of the last rounds."""
    if len(counts) <= PACE_ROUNDS or counts[-1] < FAR * target_faces:
        return False
    gone = counts[-1 - PACE_ROUNDS] - counts[-1]
    return (counts[-1] - target_faces) * PACE_ROUNDS > PATIENCE_ROUNDS * gone


def _has_stalled(counts: list[int]) -> bool:
    """Whether the last rounds have hardly removed a face."""
    if len(counts) <= ROUNDS_TO_STALL:
        return False
    return counts[-1] > (1 - STALLED_SHARE) * counts[-1 - ROUNDS_TO_STALL]


def _round(state: _State, target_faces: int) -> bool:
    """Collapse what can be collapsed at once; returns whether there was anything to try."""
    table = edge_table(state.faces)
    moves = _independent(_cheapest(state, table), state.faces.places, len(state.points))
    if not len(moves.start):
        return False
    targets, torn = wedge_targets(state.faces, table, moves)
    refused = np.concatenate(
        [
            torn,
            folding(state.points, state.uvs, state.faces, moves, targets),
            pinching(table, moves, len(state.points)),
        ]
    )
    bad = np.isin(moves.start, refused)
    _block(state, moves.chosen(bad))
    moves = moves.chosen(~bad)
    gone = 1 + (table.sides[moves.edges, 1] >= 0)
    excess = len(state.faces.wedges) - target_faces
    enough = int(np.searchsorted(np.cumsum(gone), excess)) + 1
    _apply(state, moves.chosen(np.arange(len(gone)) < enough), targets)
    return True


def _cheapest(state: _State, table: EdgeTable) -> Collapses:
    """List for each vertex its cheapest collapse, cheap ones first; dear ones are left out."""
    count = len(state.points)
    lines = table.vertex_lines(state.faces, count)
    rows = np.tile(np.arange(len(table.ends)), 2)
    start = np.concatenate([table.ends[:, 0], table.ends[:, 1]])
    stop = np.concatenate([table.ends[:, 1], table.ends[:, 0]])
    kind = lines[start]
    may = (kind == FREE) | ((kind != LOCKED) & (kind == table.lines[rows]))
    may &= ~np.isin(start * count + stop, state.blocked)
    start, stop, rows = start[may], stop[may], rows[may]
    costs = _costs(state, start, stop)
    least = np.full(count, np.inf)
    np.minimum.at(least, start, costs)
    lowest = np.flatnonzero(costs == least[start])
    best = np.full(count, -1, dtype=np.int64)
    best[start[lowest]] = lowest
    found = best[best >= 0]
    found = found[_strewn_order(costs[found], start[found])]
    found = found[: max(int(CHEAPEST_SHARE * len(found)), min(len(found), 16))]
    return Collapses(start[found], stop[found], rows[found])


def _strewn_order(costs: Points, vertices: Indices) -> Indices:
    """Sort by cost up to a factor, and without order within it.

    Where cost rises or stays the same along a row of vertices, only its first could be collapsed:
    all others have a cheaper neighbour.
    """
    classes = np.floor(CLASSES_PER_DOUBLING * np.log2(np.maximum(costs, 1e-300))).astype(np.int64)
    strewn = ((vertices.astype(np.uint64) * _ODD) >> np.uint64(32)).astype(np.int64)
    return np.argsort((classes << 32) + strewn)


def _costs(state: _State, start: Indices, stop: Indices) -> Points:
    """Cost of moving each start to its stop, a part of them at a time to spare memory."""
    costs = np.zeros(len(start))
    for first in range(0, len(start), _CHUNK):
        part = slice(first, first + _CHUNK)
        here, there = start[part], stop[part]
        squared = np.sum((state.points[here] - state.points[there]) ** 2, axis=1)
        moved = np.einsum("ij,ij->i", state.quadrics[here], state.terms[there])
        costs[part] = np.abs(moved) + np.abs(state.own[there]) + LENGTH_WEIGHT * squared**2
    return costs


def _independent(moves: Collapses, places: Indices, count: int) -> Collapses:
    """Keep the cheapest of those that have a face in common, or a face at what they move to."""
    last = len(moves.start)
    ranks = np.full(count, last, dtype=np.int64)
    ranks[moves.start] = np.arange(last)
    of_faces = ranks[places].min(axis=1)
    lowest = np.full(count, last, dtype=np.int64)
    for corner in range(3):
        np.minimum.at(lowest, places[:, corner], of_faces)
    own = np.arange(last)
    return moves.chosen((lowest[moves.start] == own) & (lowest[moves.stop] == own))


def _block(state: _State, moves: Collapses) -> None:
    """Remember what did not work."""
    keys = moves.start * len(state.points) + moves.stop
    state.blocked = np.concatenate([state.blocked, keys])


def _apply(state: _State, moves: Collapses, targets: Indices) -> None:
    faces = state.faces
    moving: NDArray[np.bool_] = np.zeros(len(state.points), dtype=bool)
    moving[moves.start] = True
    goes = (targets != STAYS) & moving[faces.wedge_places]
    renamed = np.where(goes, targets, np.arange(len(targets)))
    wedges = renamed[faces.wedges]
    a, b, c = faces.wedge_places[wedges].T
    alive = (a != b) & (b != c) & (c != a)
    state.faces = replace(faces, wedges=wedges[alive], kinds=faces.kinds[alive])
    state.quadrics[moves.stop] += state.quadrics[moves.start]
    stops = moves.stop
    state.own[stops] = np.einsum("ij,ij->i", state.quadrics[stops], state.terms[stops])
