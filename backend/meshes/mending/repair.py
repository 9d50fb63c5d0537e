"""Mends a mesh step by step, and says what each step changed and what it could not mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.body_nesting import bodies_to_turn, body_boxes
from backend.meshes.closing.half_edges import Indices, same_places
from backend.meshes.closing.joined_surface import JoinedSurface, join
from backend.meshes.closing.near_places import near_places
from backend.meshes.closing.outward_faces import MAX_OPENING
from backend.meshes.closing.solidity import face_normals, face_volumes
from backend.meshes.mending.hole_filling import Filled, fill_holes
from backend.meshes.mending.joined_mesh import joined_mesh
from backend.meshes.mending.t_junctions import split_t_junctions
from backend.meshes.mending.two_sided import seen_from_both_sides
from backend.meshes.source_mesh import SourceMesh


class RepairStep(StrEnum):
    """Steps in the order in which they are taken."""

    WELD_VERTICES = "weld_vertices"
    DROP_DEGENERATE_FACES = "drop_degenerate_faces"
    DROP_DUPLICATE_FACES = "drop_duplicate_faces"
    SPLIT_T_JUNCTIONS = "split_t_junctions"
    DROP_DEBRIS = "drop_debris"
    FILL_HOLES = "fill_holes"
    TURN_FACES = "turn_faces"
    MERGE_VERTICES = "merge_vertices"


WORDS = {
    RepairStep.WELD_VERTICES: "places of vertices that almost touched and were joined",
    RepairStep.DROP_DEGENERATE_FACES: "faces that collapse to a line and were dropped",
    RepairStep.DROP_DUPLICATE_FACES: "faces that were there twice and were dropped",
    RepairStep.SPLIT_T_JUNCTIONS: "edges on which corners rested and that were split there",
    RepairStep.DROP_DEBRIS: "small loose pieces that were dropped",
    RepairStep.FILL_HOLES: "holes that were filled",
    RepairStep.TURN_FACES: "faces that looked to the wrong side and were turned over",
    RepairStep.MERGE_VERTICES: "vertices that were like others, or that no face used, and went",
}


@dataclass(frozen=True)
class StepTaken:
    """A step and how many things it changed."""

    step: RepairStep
    changed: int

    def document(self) -> dict[str, Any]:
        """JSON-ready, with words for people."""
        return {"step": self.step.value, "changed": self.changed, "meaning": WORDS[self.step]}


@dataclass(frozen=True)
class RepairOptions:
    """What may be changed.

    Parameters
    ----------
    hole_share : float
        Widest hole that is filled, as a share of the longest side of its body; 0 fills none.
    debris_share : float
        Pieces smaller than this share of the longest side of the mesh are dropped; 0 keeps all.
    """

    hole_share: float = 0.1
    debris_share: float = 0.0


@dataclass(frozen=True)
class Repaired:
    """The mesh, every step with what it changed, and borders that stayed open."""

    mesh: SourceMesh
    steps: tuple[StepTaken, ...]
    open_borders: int


def repair(
    mesh: SourceMesh, options: RepairOptions, check_canceled: Callable[[], None] = lambda: None
) -> Repaired:
    """Mend a mesh; its texture, materials and colours stay.

    Parameters
    ----------
    mesh : SourceMesh
        At least one face with an area, all positions finite.
    check_canceled : callable
        Called between the steps; may raise to stop.
    """
    surface = join(mesh, mended=True)
    near = near_places(mesh.vertices)
    counts = _joined_counts(mesh, surface, near)
    mesh = seen_from_both_sides(mesh, near, surface.sources)
    check_canceled()
    mesh, surface, counts[RepairStep.SPLIT_T_JUNCTIONS] = _without_t_junctions(mesh, surface)
    check_canceled()
    kept, pieces = _without_debris(mesh, surface, options.debris_share)
    if kept is not mesh:
        mesh, surface = kept, join(kept, mended=True)
        check_canceled()
    filled = fill_holes(surface, options.hole_share)
    over = _faces_to_turn(surface, filled)
    check_canceled()
    own = over[: len(surface.faces)]
    counts[RepairStep.DROP_DEBRIS] = pieces
    counts[RepairStep.FILL_HOLES] = len(filled.loops)
    counts[RepairStep.TURN_FACES] = int((surface.turned ^ own).sum())
    made, counts[RepairStep.MERGE_VERTICES] = joined_mesh(mesh, surface, filled, over)
    steps = tuple(StepTaken(step, counts[step]) for step in RepairStep)
    return Repaired(made, steps, filled.left)


def _joined_counts(
    mesh: SourceMesh, surface: JoinedSurface, near: Indices
) -> dict[RepairStep, int]:
    """Count what joining the faces has changed."""
    a, b, c = near[mesh.faces].T
    gone = np.ones(len(mesh.faces), dtype=bool)
    gone[surface.sources] = False
    thin = int((gone & ((a == b) | (b == c) | (c == a))).sum())
    corners = mesh.faces[surface.sources]
    before = len(np.unique(same_places(mesh.vertices)[corners]))
    after = int(same_places(surface.points).max(initial=-1)) + 1
    return {
        RepairStep.WELD_VERTICES: before - after,
        RepairStep.DROP_DEGENERATE_FACES: thin,
        RepairStep.DROP_DUPLICATE_FACES: int(gone.sum()) - thin,
    }


def _without_t_junctions(
    mesh: SourceMesh, surface: JoinedSurface
) -> tuple[SourceMesh, JoinedSurface, int]:
    """Split edges until no corner rests on one; a face has three edges."""
    total = 0
    for _ in range(3):
        mesh, count = split_t_junctions(mesh, surface)
        if not count:
            break
        surface = join(mesh, mended=True)
        total += count
    return mesh, surface, total


def _without_debris(
    mesh: SourceMesh, surface: JoinedSurface, share: float
) -> tuple[SourceMesh, int]:
    """Drop small pieces, never the largest; returns the mesh and how many went."""
    if share <= 0:
        return mesh, 0
    bodies = surface.face_bodies
    boxes = body_boxes(surface.points, surface.faces, bodies, int(bodies.max()) + 1)
    sides = np.ptp(boxes, axis=1).max(axis=1)
    limit = share * float(np.ptp(surface.points, axis=0).max())
    small = sides < min(limit, float(sides.max()))
    if not small.any():
        return mesh, 0
    keep = np.zeros(len(mesh.faces), dtype=bool)
    keep[surface.sources[~small[bodies]]] = True
    return mesh.selected(keep), int(small.sum())


def _faces_to_turn(surface: JoinedSurface, filled: Filled) -> NDArray[np.bool_]:
    """Say which faces to turn over so that all bodies look outwards, fillings as their bodies.

    A body with large openings stays as it is: it may look inwards on purpose.
    """
    points = np.concatenate([surface.points, filled.points])
    faces = np.concatenate([surface.faces, filled.faces])
    bodies = np.concatenate([surface.face_bodies, _filling_bodies(surface, filled)])
    count = int(bodies.max()) + 1
    normals = face_normals(points, faces)
    sums = np.stack([np.bincount(bodies, normals[:, axis], count) for axis in range(3)], axis=1)
    areas = np.bincount(bodies, np.linalg.norm(normals, axis=1), count)
    wide_open = np.linalg.norm(sums, axis=1) > MAX_OPENING * areas
    volumes = np.where(wide_open, 0.0, np.bincount(bodies, face_volumes(points, faces), count))
    over = bodies_to_turn(volumes, body_boxes(points, faces, bodies, count))
    return np.asarray((over & ~wide_open)[bodies])


def _filling_bodies(surface: JoinedSurface, filled: Filled) -> Indices:
    bodies = np.zeros(len(surface.points), dtype=np.int64)
    bodies[surface.faces] = surface.face_bodies[:, None]
    of_holes = np.array([bodies[loop[0]] for loop in filled.loops], dtype=np.int64)
    return np.asarray(of_holes[filled.holes], dtype=np.int64)
