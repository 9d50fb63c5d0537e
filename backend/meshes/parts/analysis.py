"""The surface that is looked at: thousands of faces of even size, whatever was given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from backend.meshes.parts.bodies import Bodies
from backend.meshes.parts.coarsening import coarsened
from backend.meshes.parts.orientation import turned_outwards
from backend.meshes.parts.refinement import split_long_edges
from backend.meshes.parts.surface import Surface, face_pairs
from backend.meshes.parts.welding import Welded

MOST_FACES = 20_000
COARSEN_ABOVE_FACES = 24_000
EVEN_FACES = 4_000
LONG_EDGES = 2.5
GAP = 1.5
BODIES_PER_ROW = 4
NEIGHBOURS = 3
MOST_PIECES = 96
"""Pieces that share edges; a body of many that only share corners is looked at in part."""


@dataclass(frozen=True)
class Analysis:
    """A surface to look at, and how it stands for the welded one.

    Parameters
    ----------
    surface : Surface
        Bodies lie apart in it, so that none hides another.
    bodies : (m,) int64
        The body of each face.
    centres : (m, 3) float64
        Where the faces are in the welded surface.
    parents : (m,) int64 or None
        The welded face that each face is a piece of; None where the surface was made anew.
    """

    surface: Surface
    bodies: NDArray[np.int64]
    centres: NDArray[np.float64]
    parents: NDArray[np.int64] | None

    def welded_labels(
        self, labels: NDArray[np.int64], welded: Welded, bodies: Bodies
    ) -> NDArray[np.int64]:
        """Hand labels of the faces to the welded faces, (w,) int64."""
        found = np.full(len(welded.faces), -1)
        if self.parents is not None:
            found = _largest_share(self.parents, labels, self.surface.areas, len(found))
        rest = np.flatnonzero((found < 0) & ~bodies.is_crumb)
        if len(rest):
            found[rest] = labels[self._nearest(welded, bodies, rest)]
        crumbs = np.flatnonzero(bodies.is_crumb)
        if len(crumbs):
            _, first, inverse = np.unique(
                welded.bodies[crumbs], return_index=True, return_inverse=True
            )
            found[crumbs] = labels[self._nearest(welded, bodies, crumbs[first])[inverse]]
        return found

    def _nearest(
        self, welded: Welded, bodies: Bodies, faces: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Of the nearest faces of the same body, find the one that looks the same way."""
        apart = GAP * 2 * BODIES_PER_ROW
        tree = cKDTree(np.column_stack([self.centres, apart * self.bodies]))
        a, b, c = (welded.vertices[welded.faces[faces, corner]] for corner in range(3))
        points = np.column_stack([(a + b + c) / 3, apart * bodies.of_faces[faces]])
        count = min(NEIGHBOURS, len(self.centres))
        away, near = tree.query(points, k=count, workers=-1)
        away, near = np.reshape(away, (-1, count)), np.reshape(near, (-1, count))
        cross = np.cross(b - a, c - a)
        cross /= np.maximum(np.linalg.norm(cross, axis=1), 1e-300)[:, None]
        facing = np.einsum("ij,ikj->ik", cross, self.surface.normals[near])
        same_body = away < apart / 2
        best = np.where(same_body, facing - away / np.maximum(away[:, :1], 1e-9) * 0.1, -np.inf)
        return np.asarray(near[np.arange(len(near)), best.argmax(axis=1)])


def prepare_analysis(welded: Welded, bodies: Bodies) -> Analysis:
    """Coarsen or refine the bodies that count, turn them outwards and set them apart."""
    chosen = np.flatnonzero(bodies.is_searched)
    if len(chosen) > COARSEN_ABOVE_FACES:
        return _coarse(welded, bodies)
    return _fine(welded, bodies, chosen)


def _fine(welded: Welded, bodies: Bodies, chosen: NDArray[np.int64]) -> Analysis:
    area = float(welded.areas[chosen].sum())
    longest = LONG_EDGES * float(np.sqrt(area / EVEN_FACES))
    vertices, faces, pieces = split_long_edges(
        welded.vertices, welded.faces[chosen], longest, MOST_FACES
    )
    parents = chosen[pieces]
    return _set_apart(vertices, faces, bodies.of_faces[parents], parents)


def _coarse(welded: Welded, bodies: Bodies) -> Analysis:
    areas = np.bincount(bodies.of_faces, welded.areas * bodies.is_searched, bodies.count)
    shares = areas / max(float(areas.sum()), 1e-300)
    corners: list[NDArray[np.int64]] = []
    points: list[NDArray[np.float64]] = []
    owners: list[NDArray[np.int64]] = []
    start = 0
    for body in range(bodies.count):
        own = welded.faces[(bodies.of_faces == body) & bodies.is_searched]
        vertices, faces = coarsened(welded.vertices, own, int(shares[body] * MOST_FACES))
        points.append(vertices)
        corners.append(faces + start)
        owners.append(np.full(len(faces), body))
        start += len(vertices)
    return _set_apart(np.concatenate(points), np.concatenate(corners), np.concatenate(owners), None)


def _set_apart(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    bodies: NDArray[np.int64],
    parents: NDArray[np.int64] | None,
) -> Analysis:
    large = _large_pieces(vertices, faces)
    faces, bodies = faces[large], bodies[large]
    parents = None if parents is None else parents[large]
    centres = vertices[faces].mean(axis=1)
    outwards = turned_outwards(vertices, faces)
    shift = np.zeros_like(vertices)
    shift[outwards.reshape(-1)] = np.repeat(_places(bodies), 3, axis=0)
    return Analysis(Surface.of(vertices + shift, outwards), bodies, centres, parents)


def _large_pieces(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which faces belong to the largest pieces; the rest would only cost time."""
    pairs, _ = face_pairs(faces)
    ones = np.ones(len(pairs), dtype=np.int8)
    links = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), (len(faces),) * 2)
    count, pieces = connected_components(links, directed=False)
    if count <= MOST_PIECES:
        return np.ones(len(faces), dtype=np.bool_)
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    areas = np.bincount(pieces, np.linalg.norm(np.cross(b - a, c - a), axis=1), count)
    large = np.zeros(count, dtype=np.bool_)
    large[np.argsort(-areas, kind="stable")[:MOST_PIECES]] = True
    return np.asarray(large[pieces])


def _places(bodies: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give each body a place of its own in a cube of places."""
    row = BODIES_PER_ROW
    grid = np.stack([bodies % row, bodies // row % row, bodies // row**2], axis=1)
    return GAP * grid.astype(np.float64)


def _largest_share(
    owners: NDArray[np.int64],
    labels: NDArray[np.int64],
    areas: NDArray[np.float64],
    count: int,
) -> NDArray[np.int64]:
    """Give each owner the label with most area among its pieces; -1 where it has none."""
    span = int(labels.max()) + 1
    keys, inverse = np.unique(owners * span + labels, return_inverse=True)
    total = np.bincount(inverse.reshape(-1), areas)
    order = np.lexsort((total, keys // span))
    found = np.full(count, -1)
    found[keys[order] // span] = keys[order] % span  # the last one, the largest, stays
    return found
