"""Closes small holes with faces that look like those around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.border_loops import border_loops
from backend.meshes.closing.caps import cap_loops
from backend.meshes.closing.half_edges import Indices, Points, same_places
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.closing.loop_plane import LoopPlane
from backend.meshes.closing.polygons import clip_ears, doubled_areas
from backend.meshes.closing.solidity import face_normals

MAX_LOOP_EDGES = 5000
FEW_EDGES = 12  # of holes that need no points of their own
MIN_AREA = 1e-3  # of the squared radius: doubled area of their faces
FLAT = 1e-6  # how much shorter than their lengths the normals of a flat body add up to
_NOTHING = np.zeros((0, 3))


@dataclass(frozen=True)
class Filled:
    """Faces that fill holes.

    Parameters
    ----------
    points : (p, 3) float64
        New points; in ``faces`` they are numbered after the points of the surface.
    faces : (f, 3) int64
    holes : (f,) int64
        The hole that each face fills.
    loops : list of (k,) int64
        The border of each hole that was filled.
    left : int
        Borders that were left open.
    """

    points: Points
    faces: Indices
    holes: Indices
    loops: list[Indices]
    left: int


def fill_holes(surface: JoinedSurface, widest_share: float) -> Filled:
    """Fill holes up to a width.

    Parameters
    ----------
    surface : JoinedSurface
    widest_share : float
        Widest hole that is filled, as a share of the longest side of the body it is in; one
        missing face is filled whatever its size; 0 fills none. The outline of a body that lies in
        a plane is no hole.
    """
    loops = border_loops(surface) if len(surface.borders) else []
    small = [loop for loop in loops if len(loop) <= MAX_LOOP_EDGES]
    chosen = _narrow_loops(surface, small, widest_share)
    is_face = _missing_faces(surface, chosen) if chosen else np.zeros(0, dtype=bool)
    bridges = _Bridges.of(surface, chosen)
    first, points, faces, holes = len(surface.points), [_NOTHING], [_NOTHING.astype(np.int64)], []
    for number, loop in enumerate(chosen):
        new, corners = _cap(surface.points[loop], bool(is_face[number]), bridges, loop)
        own = first + np.arange(len(new))
        faces.append(np.concatenate([loop, own])[corners])
        points.append(new)
        holes.append(np.full(len(corners), number))
        first += len(new)
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *holes])
    return Filled(
        np.concatenate(points), np.concatenate(faces), numbers, chosen, len(loops) - len(chosen)
    )


def _narrow_loops(surface: JoinedSurface, loops: list[Indices], share: float) -> list[Indices]:
    """Choose the loops that are narrow enough for their body."""
    if share <= 0 or not loops:
        return []
    sides, flat = _body_sides(surface), _flat_bodies(surface)
    bodies = np.zeros(len(surface.points), dtype=np.int64)
    bodies[surface.faces] = surface.face_bodies[:, None]
    chosen = []
    for loop in loops:
        body = bodies[loop[0]]
        width = float(np.ptp(surface.points[loop], axis=0).max())
        if not flat[body] and (len(loop) == 3 or width <= share * sides[body]):
            chosen.append(loop)
    return chosen


def _body_sides(surface: JoinedSurface) -> Points:
    """Longest side of each body, (b,) float64."""
    bodies = surface.face_bodies
    order = np.argsort(bodies, kind="stable")
    starts = np.searchsorted(bodies[order], np.arange(int(bodies.max()) + 1))
    corners = surface.points[surface.faces[order]]
    low = np.minimum.reduceat(corners.min(axis=1), starts)
    high = np.maximum.reduceat(corners.max(axis=1), starts)
    return np.asarray((high - low).max(axis=1))


def _flat_bodies(surface: JoinedSurface) -> NDArray[np.bool_]:
    """Say which bodies lie in a plane, (b,) bool: their normals add up without loss."""
    bodies = surface.face_bodies
    normals = face_normals(surface.points, surface.faces)
    sums = np.stack([np.bincount(bodies, normals[:, axis]) for axis in range(3)], axis=1)
    areas = np.bincount(bodies, np.linalg.norm(normals, axis=1))
    return np.asarray(np.linalg.norm(sums, axis=1) >= (1 - FLAT) * areas)


def _missing_faces(surface: JoinedSurface, loops: list[Indices]) -> NDArray[np.bool_]:
    """Say which loops are a triangle that is not there yet, (l,) bool."""
    wanted = np.array([loop if len(loop) == 3 else (-1, -1, -1) for loop in loops], dtype=np.int64)
    span = len(surface.points) + 1
    weights = np.array([span * span, span, 1])
    there = np.sort(surface.faces, axis=1) @ weights
    found = np.isin(np.sort(wanted, axis=1) @ weights, there)
    return np.asarray((wanted[:, 0] >= 0) & ~found)


@dataclass(frozen=True)
class _Bridges:
    """Edges that lead from border to border, by the places of their ends.

    Parameters
    ----------
    places : (t,) int64
        Of the points of the surface.
    taken : set of (int, int)
        Edges that are there already; new ones are added.
    """

    places: Indices
    taken: set[tuple[int, int]]

    @classmethod
    def of(cls, surface: JoinedSurface, loops: list[Indices]) -> _Bridges:
        if not loops:
            return cls(np.zeros(0, dtype=np.int64), set())
        places = same_places(surface.points)
        at_border = np.zeros(len(places), dtype=bool)
        at_border[places[np.concatenate(loops)]] = True
        ends = places[np.stack([surface.faces, np.roll(surface.faces, -1, axis=1)], axis=-1)]
        found = np.sort(ends[at_border[ends].all(axis=-1)], axis=1)
        return cls(places, {(low, high) for low, high in found.tolist()})

    def take(self, loop: Indices, faces: Indices) -> bool:
        """Add the inner edges of faces over a loop, unless one is there already."""
        ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
        inner = ~np.isin((ends[:, 0] - ends[:, 1]) % len(loop), (1, len(loop) - 1))
        wanted = {(low, high) for low, high in np.sort(self.places[loop[ends[inner]]]).tolist()}
        if wanted & self.taken or any(low == high for low, high in wanted):
            return False
        self.taken.update(wanted)
        return True


def _cap(points: Points, is_face: bool, bridges: _Bridges, loop: Indices) -> tuple[Points, Indices]:
    """Close a loop with the one face that is missing, or with a cap that fits the border.

    Returns
    -------
    points : (p, 3) float64
        New points.
    faces : (f, 3) int64
        The points of the loop come first, then the new ones.
    """
    if is_face:
        return _NOTHING, np.array([[2, 1, 0]])
    faces = _plain_faces(points)
    if faces is not None and bridges.take(loop, faces):
        return _NOTHING, faces
    cap = cap_loops([points])
    return (cap.points, cap.faces) if cap else (_NOTHING, _NOTHING.astype(np.int64))


def _plain_faces(points: Points) -> Indices | None:
    """Close a small loop without new points; None where no faces of some width come of it."""
    plane = LoopPlane.of(points) if 4 <= len(points) <= FEW_EDGES else None
    if plane is None:
        return None
    flat = plane.flat(points)
    ears = clip_ears([flat])
    if ears is None or (doubled_areas(flat, ears) < MIN_AREA * plane.radius**2).any():
        return None
    return np.asarray(ears[:, ::-1])
