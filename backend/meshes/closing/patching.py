"""Closes a joined surface: caps on loops, a thickness for sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.body_nesting import body_boxes, inside_out
from backend.meshes.closing.border_loops import border_loops
from backend.meshes.closing.caps import Cap, CapShape, cap_loops
from backend.meshes.closing.closed_surface import NO_LOOK, ClosedSurface
from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.closing.loop_groups import group_loops
from backend.meshes.closing.solidity import face_normals, face_volumes
from backend.meshes.closing.thickening import thicken

MIN_CAPPED_THICKNESS = 2e-3  # twice the volume by the area, of the root of the area
MIN_CLOSED_THICKNESS = 1e-6
FLATNESS = 1e-7
MAX_DISAGREEMENT = 0.1  # of the faces; beyond, to which side they look means nothing


@dataclass(frozen=True)
class Patched:
    """A closed surface and how it came about.

    Parameters
    ----------
    shapes : tuple of CapShape
        Of the caps.
    sheet_share : float
        Share of the surface's area that lies in sheets, from 0 to 1.
    sheets : int
        How many pieces were thickened.
    is_apart : bool
        Whether the surface was pulled apart where it touched itself.
    """

    closed: ClosedSurface
    shapes: tuple[CapShape, ...]
    sheet_share: float
    sheets: int
    is_apart: bool = False


@dataclass(frozen=True)
class _Placed:
    """A cap with its corners numbered among all points."""

    shape: CapShape
    points: Points
    faces: Indices
    body: int


def patch(surface: JoinedSurface, thickness: float) -> Patched:
    """Cap what then has a volume, thicken the rest.

    Parameters
    ----------
    surface : JoinedSurface
        At least one face.
    thickness : float
        Of sheets, in units of the mesh; small pieces get less.
    """
    placed, bodies = _placed_caps(surface)
    is_sheet, areas = _find_sheets(surface, placed, bodies)
    placed = [cap for cap in placed if not is_sheet[cap.body]]
    flat = np.flatnonzero(is_sheet[bodies])
    depth = np.minimum(thickness, np.sqrt(areas[bodies[flat]]) / 2)
    first = len(surface.points) + sum(len(cap.points) for cap in placed)
    backs = thicken(surface, flat, depth, first)
    closed = ClosedSurface(
        surface,
        np.concatenate([*(cap.points for cap in placed), backs.points]),
        np.concatenate([*(_renumbered(surface, placed)), backs.faces]),
        np.concatenate([*(np.full(len(cap.faces), NO_LOOK) for cap in placed), backs.looks]),
        np.concatenate(
            [bodies, *(np.full(len(cap.faces), cap.body) for cap in placed), bodies[backs.beside]]
        ),
        np.zeros(len(areas), dtype=bool),
    )
    share = float(areas[is_sheet].sum() / max(float(areas.sum()), 1e-300))
    shapes = tuple(cap.shape for cap in placed)
    return Patched(closed.turned_outwards(), shapes, share, int(is_sheet.sum()))


def _placed_caps(surface: JoinedSurface) -> tuple[list[_Placed], Indices]:
    """Cap the loops of all bodies that are not flat.

    Returns
    -------
    placed : list of _Placed
        Corners below ``t`` are fans; ``t + i`` is the cap's own point ``i``.
    bodies : (k,) int64
        Bodies of the surface's faces; those that share a cap are one.
    """
    fan_bodies = np.zeros(len(surface.points), dtype=np.int64)
    fan_bodies[surface.faces] = surface.face_bodies[:, None]
    is_flat = _flat_bodies(surface)
    loops = [loop for loop in border_loops(surface) if not is_flat[fan_bodies[loop[0]]]]
    points = [surface.points[loop] for loop in loops]
    capped: list[tuple[list[int], Cap]] = []
    for group in group_loops(points):
        capped += _caps_of(points, group)
    bodies = _joined_bodies(surface, [[int(fan_bodies[loops[i][0]]) for i in g] for g, _ in capped])
    body_of = np.zeros(int(surface.face_bodies.max()) + 1, dtype=np.int64)
    body_of[surface.face_bodies] = bodies
    placed = []
    for group, cap in capped:
        fans = np.concatenate([loops[index] for index in group])
        own = len(surface.points) + np.arange(len(cap.points))
        body = int(body_of[fan_bodies[fans[0]]])
        placed.append(_Placed(cap.shape, cap.points, np.concatenate([fans, own])[cap.faces], body))
    return placed, bodies


def _flat_bodies(surface: JoinedSurface) -> NDArray[np.bool_]:
    """Say which bodies lie in a plane, (b,) bool: their normals add up without loss."""
    bodies = surface.face_bodies
    normals = face_normals(surface.points, surface.faces)
    sums = np.stack([np.bincount(bodies, normals[:, axis]) for axis in range(3)], axis=1)
    areas = np.bincount(bodies, np.linalg.norm(normals, axis=1))
    return np.asarray(np.linalg.norm(sums, axis=1) >= (1 - FLATNESS) * areas)


def _caps_of(points: Sequence[Points], group: list[int]) -> list[tuple[list[int], Cap]]:
    together = cap_loops([points[index] for index in group])
    if together is not None:
        return [(group, together)]
    return [pair for index in group for pair in _caps_of(points, [index])]


def _joined_bodies(surface: JoinedSurface, groups: list[list[int]]) -> Indices:
    """Join the bodies that have a cap in common, (k,) int64."""
    links = [(group[0], body) for group in groups for body in group[1:]]
    count = int(surface.face_bodies.max()) + 1
    start, stop = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (count, count))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return np.asarray(labels[surface.face_bodies])


def _find_sheets(
    surface: JoinedSurface, placed: list[_Placed], bodies: Indices
) -> tuple[NDArray[np.bool_], Points]:
    """Say of each body whether it is a sheet, and how large its own surface is.

    Caps would leave a sheet flat, or would lie on the side to which its faces look.
    """
    count = int(bodies.max()) + 1
    points = np.concatenate([surface.points, *(cap.points for cap in placed)])
    faces = np.concatenate([surface.faces, *_renumbered(surface, placed)])
    labels = np.concatenate([bodies, *(np.full(len(cap.faces), cap.body) for cap in placed)])
    volumes = np.bincount(labels, face_volumes(points, faces), minlength=count).astype(float)
    all_areas = np.linalg.norm(face_normals(points, faces), axis=1)
    whole = np.bincount(labels, all_areas, minlength=count)
    own = np.bincount(bodies, all_areas[: len(bodies)], minlength=count)
    is_capped, is_open = np.zeros((2, count), dtype=bool)
    is_capped[[cap.body for cap in placed]] = True
    is_open[bodies[surface.borders // 3]] = True
    limit = np.where(is_open, MIN_CAPPED_THICKNESS, MIN_CLOSED_THICKNESS)
    flat = (2 * np.abs(volumes) <= limit * whole**1.5) | (is_open & ~is_capped)
    agreed = np.bincount(bodies, surface.turned, count) < MAX_DISAGREEMENT * np.bincount(bodies)
    inwards = inside_out(volumes, body_boxes(points, faces, labels, count))
    hollow = is_open & agreed & inwards
    return np.asarray(flat | hollow), own.astype(np.float64)


def _renumbered(surface: JoinedSurface, placed: list[_Placed]) -> list[Indices]:
    """Count the points of all caps through."""
    fans, shift, numbered = len(surface.points), 0, []
    for cap in placed:
        numbered.append(np.where(cap.faces < fans, cap.faces, cap.faces + shift))
        shift += len(cap.points)
    return numbered
