"""The faces of a part, joined where they touch: a surface whose borders are simple loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import (
    BORDER,
    Indices,
    Points,
    pair_half_edges,
    same_places,
)
from backend.meshes.closing.near_places import near_places
from backend.meshes.closing.winding_order import faces_to_turn
from backend.meshes.source_mesh import SourceMesh

MIN_LEFT = 0.99  # of the faces; where more collapse, a few far points make the rest look small


@dataclass(frozen=True)
class JoinedSurface:
    """A surface of fans; a fan is a vertex with the faces that hang together around it.

    Where surfaces only touch in a vertex or an edge, each has fans of its own there. So every
    edge has one or two faces, and every border vertex lies on exactly one loop.

    Parameters
    ----------
    points : (t, 3) float64
        Where the fans are; several may be in one place.
    faces : (k, 3) int64
        Fans of each face, all turned alike.
    partners : (3 k,) int64
        Half-edges that meet.
    sources : (k,) int64
        The face of the mesh that each face is.
    turned : (k,) bool
        Whether it was turned over.
    """

    points: Points
    faces: Indices
    partners: Indices
    sources: Indices
    turned: NDArray[np.bool_]

    @cached_property
    def borders(self) -> Indices:
        """Half-edges that meet none."""
        return np.flatnonzero(self.partners == BORDER)

    @cached_property
    def face_bodies(self) -> Indices:
        """Return the connected piece of each face, (k,) int64."""
        half = np.flatnonzero(self.partners != BORDER)
        count = len(self.faces)
        links = sparse.coo_matrix(
            (np.ones(len(half)), (half // 3, self.partners[half] // 3)), (count, count)
        )
        return connected_components(links, directed=False)[1].astype(np.int64)


def join(
    mesh: SourceMesh, mended: bool = False, plain: JoinedSurface | None = None
) -> JoinedSurface:
    """Join the faces of a part.

    Faces that collapse to a line and faces that are there twice are left out.

    Parameters
    ----------
    mesh : SourceMesh
    mended : bool
        Whether positions a two-millionth of the size apart count as one, and two faces that lie
        back to back as well.
    plain : JoinedSurface, optional
        The same mesh joined without that; returned again where there is nothing to mend.
    """
    as_they_are = places = same_places(mesh.vertices)
    sources = _faces_with_corners(mesh, places)
    if mended:
        near = near_places(mesh.vertices)
        left = _faces_with_corners(mesh, near)
        if len(left) >= MIN_LEFT * len(sources):
            places, sources = near, left
    faces = places[mesh.faces.astype(np.int64)].reshape(-1, 3)
    sources = sources[_first_of_equals(faces[sources], mended)]
    is_as_it_was = plain is not None and np.array_equal(sources, plain.sources)
    if plain is not None and is_as_it_was and np.array_equal(places, as_they_are):
        return plain
    points = np.zeros((int(places.max()) + 1 if len(places) else 0, 3))
    points[places[::-1]] = mesh.vertices[::-1]
    faces = faces[sources]
    turned = faces_to_turn(faces)
    faces[turned] = faces[turned][:, [0, 2, 1]]
    partners = pair_half_edges(points, faces)
    fans, first = _fans(partners)
    return JoinedSurface(
        points[faces.reshape(-1)[first]], fans.reshape(-1, 3), partners, sources, turned
    )


def _faces_with_corners(mesh: SourceMesh, places: Indices) -> Indices:
    """List the faces that do not collapse."""
    a, b, c = places[mesh.faces].T
    return np.flatnonzero((a != b) & (b != c) & (c != a))


def _first_of_equals(faces: Indices, either_way: bool) -> Indices:
    """Choose the first of the faces with the same corners in the same order, or in any."""
    if either_way:
        ranked = np.sort(faces, axis=1)
    else:
        turn = faces.argmin(axis=1)[:, None]
        ranked = np.take_along_axis(faces, (turn + np.arange(3)) % 3, axis=1)
    order = np.lexsort(ranked.T)
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (ranked[order[1:]] != ranked[order[:-1]]).any(axis=1)
    return np.sort(order[is_new])


def _fans(partners: Indices) -> tuple[Indices, Indices]:
    """Join the corners at both ends of the half-edges that meet."""
    half = np.flatnonzero(partners != BORDER)
    other = partners[half]
    start = np.concatenate([half, _next(half)])
    stop = np.concatenate([_next(other), other])
    size = len(partners)
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (size, size))
    _, fans = connected_components(links, directed=False)
    _, first = np.unique(fans, return_index=True)
    return fans.astype(np.int64), first


def _next(half: Indices) -> Indices:
    return half - half % 3 + (half + 1) % 3
