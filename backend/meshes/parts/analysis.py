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
from backend.meshes.parts.roughness import smoothed_if_rough
from backend.meshes.parts.surface import Surface, face_pairs
from backend.meshes.parts.welding import Welded

MOST_FACES = 20_000
COARSEN_ABOVE_FACES = 24_000
EVEN_FACES = 4_000
LONG_EDGES = 2.5
GAP = 1.5
BODIES_PER_ROW = 4
NEIGHBOURS = 3
FACES_AT_ONCE = 50_000
ASKED_BY_VERTEX = 200_000
"""Faces; up to here each is asked on its own."""
SAME_SIDE = 0.5
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
        """Hand labels of the faces to the welded faces, (w,) int64; -1 on bodies not looked at."""
        found = np.full(len(welded.faces), -1)
        if self.parents is not None:
            found = _largest_share(self.parents, labels, self.surface.areas, len(found))
        rest = np.flatnonzero((found < 0) & ~(bodies.is_crumb | bodies.is_whole))
        if len(rest) > ASKED_BY_VERTEX:
            found[rest] = self._where_corners_agree(labels, welded, bodies, rest)
            rest = rest[found[rest] < 0]
        if len(rest):
            found[rest] = labels[self._nearest(welded, bodies, rest)]
        crumbs = np.flatnonzero(bodies.is_crumb & ~bodies.is_whole)
        if len(crumbs):
            _, first, inverse = np.unique(
                welded.bodies[crumbs], return_index=True, return_inverse=True
            )
            found[crumbs] = labels[self._nearest(welded, bodies, crumbs[first])[inverse]]
        return found

    def _where_corners_agree(
        self,
        labels: NDArray[np.int64],
        welded: Welded,
        bodies: Bodies,
        faces: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Label faces by their corners, which are half as many; -1 where these do not agree."""
        apart = GAP * 2 * BODIES_PER_ROW
        tree = cKDTree(np.column_stack([self.centres, apart * self.bodies]))
        body_at = np.zeros(len(welded.vertices))
        body_at[welded.faces[faces]] = apart * bodies.of_faces[faces, None]
        away, nearest = tree.query(np.column_stack([welded.vertices, body_at]), workers=-1)
        near = np.where(away > apart / 2, -1, nearest)
        found = np.full(len(faces), -1)
        for start in range(0, len(faces), FACES_AT_ONCE):
            corners = welded.faces[faces[start : start + FACES_AT_ONCE]]
            met = near[corners]
            first = labels[met[:, 0]]
            agree = (first == labels[met[:, 1]]) & (first == labels[met[:, 2]])
            normals = _unit_normals(welded.vertices[corners])
            facing = np.einsum("ij,ij->i", normals, self.surface.normals[met[:, 0]])
            good = agree & (facing > SAME_SIDE) & (met.min(axis=1) >= 0)
            found[start : start + FACES_AT_ONCE] = np.where(good, first, -1)
        return found

    def _nearest(
        self, welded: Welded, bodies: Bodies, faces: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Of the nearest faces of the same body, find the one that looks the same way."""
        apart = GAP * 2 * BODIES_PER_ROW
        tree = cKDTree(np.column_stack([self.centres, apart * self.bodies]))
        found = np.zeros(len(faces), dtype=np.int64)
        for start in range(0, len(faces), FACES_AT_ONCE):
            block = slice(start, start + FACES_AT_ONCE)
            corners = welded.vertices[welded.faces[faces[block]]]
            bodies_at = apart * bodies.of_faces[faces[block]]
            points = np.column_stack(
                [(corners[:, 0] + corners[:, 1] + corners[:, 2]) / 3, bodies_at]
            )
            count = min(NEIGHBOURS, len(self.centres))
            away, near = tree.query(points, k=count, workers=-1)
            away, near = np.reshape(away, (-1, count)), np.reshape(near, (-1, count))
            facing = np.einsum("ij,ikj->ik", _unit_normals(corners), self.surface.normals[near])
            score = facing - away / np.maximum(away[:, :1], 1e-9) * 0.1
            best = np.where(away < apart / 2, score, -np.inf).argmax(axis=1)  # of the same body
            found[block] = near[np.arange(len(near)), best]
        return found


def _unit_normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normals of triangles (m, 3, 3), (m, 3), component by component: a third of the time."""
    (ux, uy, uz), (vx, vy, vz) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    cross = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)
    return np.asarray(cross / np.maximum(np.linalg.norm(cross, axis=1), 1e-300)[:, None])


def prepare_analysis(welded: Welded, bodies: Bodies) -> Analysis:
    """Coarsen or refine the bodies that count, turn them outwards and set them apart."""
    chosen = np.flatnonzero(bodies.is_searched)
    if len(chosen) > COARSEN_ABOVE_FACES:
        return _coarse(welded, bodies, chosen)
    return _fine(welded, bodies, chosen)


def _fine(welded: Welded, bodies: Bodies, chosen: NDArray[np.int64]) -> Analysis:
    area = float(welded.areas[chosen].sum())
    longest = LONG_EDGES * float(np.sqrt(area / EVEN_FACES))
    vertices, faces, pieces = split_long_edges(
        welded.vertices, welded.faces[chosen], longest, MOST_FACES
    )
    parents = chosen[pieces]
    return _set_apart(vertices, faces, bodies.of_faces[parents], parents)


def _coarse(welded: Welded, bodies: Bodies, chosen: NDArray[np.int64]) -> Analysis:
    faces, owners = welded.faces, bodies.of_faces
    if len(chosen) < len(faces):
        faces, owners = faces[chosen], owners[chosen]
    areas = np.bincount(owners, welded.areas[chosen], bodies.searched_count)
    shares = areas / max(float(areas.sum()), 1e-300)
    corners: list[NDArray[np.int64]] = []
    points: list[NDArray[np.float64]] = []
    numbers: list[NDArray[np.int64]] = []
    start = 0
    for body in range(bodies.searched_count):
        own = faces if bodies.searched_count == 1 else faces[owners == body]
        vertices, fewer = coarsened(welded.vertices, own, int(shares[body] * MOST_FACES))
        points.append(vertices)
        corners.append(fewer + start)
        numbers.append(np.full(len(fewer), body))
        start += len(vertices)
    places, triangles = np.concatenate(points), np.concatenate(corners)
    return _set_apart(places, triangles, np.concatenate(numbers), None)


def _set_apart(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    bodies: NDArray[np.int64],
    parents: NDArray[np.int64] | None,
) -> Analysis:
    large = _large_pieces(vertices, faces)
    faces, bodies = faces[large], bodies[large]
    parents = None if parents is None else parents[large]
    outwards = turned_outwards(vertices, faces)
    vertices = smoothed_if_rough(vertices, outwards)
    centres = vertices[faces].mean(axis=1)
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
