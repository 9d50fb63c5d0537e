"""What can be told of the parts of a surface: faces, area, box, whether closed, volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.positions import numbered_positions
from backend.meshes.source_mesh import SourceMesh


@dataclass(frozen=True)
class PartFacts:
    """Figures of all parts, or of all patches; those without faces have zeros.

    Parameters
    ----------
    faces : (p,) int64
    areas : (p,) float64
        In square units of the mesh.
    boxes : (p, 2, 3) float32
        Lowest and highest corner.
    """

    faces: NDArray[np.int64]
    areas: NDArray[np.float64]
    boxes: NDArray[np.float32]

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middles of the boxes, (p, 3)."""
        return np.asarray(self.boxes.astype(np.float64).mean(axis=1))


@dataclass(frozen=True)
class Enclosure:
    """What parts enclose as they are.

    Parameters
    ----------
    closed : (p,) bool
        Whether every edge joins two faces of the part, once in each direction.
    volumes : (p,) float64
        In cubic units of the mesh; NaN where not closed.
    """

    closed: NDArray[np.bool_]
    volumes: NDArray[np.float64]


def measure_parts(mesh: SourceMesh, labels: NDArray[np.integer], count: int) -> PartFacts:
    """Measure the faces of each label.

    Parameters
    ----------
    labels : (m,) int
        From 0 to ``count - 1``.
    """
    corners = mesh.vertices[mesh.faces]
    areas = np.zeros(count)
    areas += np.bincount(labels, weights=_areas(corners), minlength=count)
    boxes = np.zeros((count, 2, 3), dtype=np.float32)
    faces = np.bincount(labels, minlength=count)
    present = np.flatnonzero(faces)
    if len(present):
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], present)
        boxes[present, 0] = np.minimum.reduceat(corners.min(axis=1)[order], starts)
        boxes[present, 1] = np.maximum.reduceat(corners.max(axis=1)[order], starts)
    return PartFacts(faces, areas, boxes)


def measure_enclosure(mesh: SourceMesh, labels: NDArray[np.integer], count: int) -> Enclosure:
    """Find which parts are closed already, and how much they hold.

    Parameters
    ----------
    labels : (m,) int
        From 0 to ``count - 1``.
    """
    places = numbered_positions(mesh.vertices)
    open_edges = _open_edges(places[mesh.faces], labels, count)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    corners -= middle  # small numbers lose less
    sixfold = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    volumes = np.abs(np.bincount(labels, weights=sixfold, minlength=count)) / 6
    closed = (open_edges == 0) & (np.bincount(labels, minlength=count) > 0)
    return Enclosure(closed, np.where(closed, volumes, np.nan))


def _open_edges(
    faces: NDArray[np.int64], labels: NDArray[np.integer], count: int
) -> NDArray[np.int64]:
    """Count edges of each label that do not join two faces of it in opposite directions."""
    if not len(faces):
        return np.zeros(count, dtype=np.int64)
    start, stop = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    owner = np.repeat(labels, 3).astype(np.int64)
    real = start != stop
    start, stop, owner = start[real], stop[real], owner[real]
    span = int(faces.max()) + 1
    keys = (owner * span + np.minimum(start, stop)) * span + np.maximum(start, stop)
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    uses = np.diff(firsts, append=len(order))
    turns = np.add.reduceat(np.where(start < stop, 1, -1)[order], firsts)
    wrong = (uses != 2) | (turns != 0)
    return np.bincount(owner[order[firsts[wrong]]], minlength=count)


def _areas(corners: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = corners.astype(np.float64)
    cross = np.cross(wide[:, 1] - wide[:, 0], wide[:, 2] - wide[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)
