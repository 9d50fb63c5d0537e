"""What labels spread over: faces that differ, and which of them share an edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from backend.meshes.parts.surface import face_pairs
from backend.meshes.positions import numbered_positions

SIDES = 3


@dataclass(frozen=True)
class CleanSurface:
    """The faces of a mesh without those that collapse or repeat; vertices in one place are one.

    Parameters
    ----------
    corners : (m, 3, 3) float64
        Positions of the corners of its faces.
    areas : (m,) float64
        Of its faces.
    pairs : (e, 2) int64
        Faces that share an edge which no third face has.
    table : (m, 3) int64
        The same, face by face; -1 where there is no neighbour.
    owners : (given faces,) int64
        Which of its faces stands for each face that was given.
    """

    corners: NDArray[np.float64]
    areas: NDArray[np.float64]
    pairs: NDArray[np.int64]
    table: NDArray[np.int64]
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> CleanSurface:
        """Clean a mesh of at least one face.

        Parameters
        ----------
        vertices : (n, 3) float
        faces : (given faces, 3) int
        """
        welded = _welded(vertices, faces)
        kept, owners = _different_faces(welded)
        corners = vertices.astype(np.float64)[faces]
        if (owners < 0).any():
            owners = _nearest_owners(corners, kept, owners)
        pairs = _edge_pairs(welded[kept])
        chosen = corners if len(kept) == len(corners) else corners[kept]
        return cls(chosen, triangle_areas(chosen), pairs, _table(pairs, len(kept)), owners)

    def __len__(self) -> int:
        return len(self.areas)

    def regions(self, labels: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
        """Number what hangs together, (m,) int64, in the order of first faces.

        Parameters
        ----------
        labels : (m,) int, optional
            Borders between labels part regions, too.
        """
        i, j = self.pairs.T
        if labels is not None:
            same = labels[i] == labels[j]
            i, j = i[same], j[same]
        links = coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), (len(self),) * 2)
        count, found = connected_components(links, directed=False)
        first = np.full(count, len(self))
        first[found[::-1]] = np.arange(len(self))[::-1]
        rank = np.zeros(count, dtype=np.int64)
        rank[np.argsort(first)] = np.arange(count)
        return np.asarray(rank[found])


def triangle_areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of triangles (m, 3, 3), (m,)."""
    return np.asarray(np.linalg.norm(face_crosses(corners), axis=1) / 2)


def face_crosses(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normals of triangles (m, 3, 3) as long as twice their area, (m, 3)."""
    (ux, uy, uz), (vx, vy, vz) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)


def _welded(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number the places of corners; vertices of no face do not make the grid coarser."""
    used = np.zeros(len(vertices), dtype=np.bool_)
    used[faces.reshape(-1)] = True
    places = np.zeros(len(vertices), dtype=np.int64)
    places[used] = numbered_positions(vertices[used])
    return np.asarray(places[faces].reshape(-1, 3))


def _different_faces(
    welded: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the first of faces with the same corners, and tell which stands for each.

    A face whose corners are not three is stood for by -1; if all are like that, all are kept.
    """
    a, b, c = ordered = np.sort(welded, axis=1).T
    is_whole = (a != b) & (b != c)
    if not is_whole.any():
        return np.arange(len(welded)), np.arange(len(welded))
    whole = np.flatnonzero(is_whole)
    order = whole[np.lexsort(ordered[:, whole])]
    is_new = np.any(np.diff(ordered[:, order], prepend=-1) != 0, axis=0)
    groups = np.cumsum(is_new) - 1
    firsts = np.minimum.reduceat(order, np.flatnonzero(is_new))
    kept = np.sort(firsts)
    owners = np.full(len(welded), -1)
    owners[order] = np.searchsorted(kept, firsts)[groups]
    return kept, owners


def _nearest_owners(
    corners: NDArray[np.float64], kept: NDArray[np.int64], owners: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Let the nearest face stand for faces that collapse."""
    centres = corners.mean(axis=1)
    lost = np.flatnonzero(owners < 0)
    found = owners.copy()
    found[lost] = KDTree(centres[kept]).query(centres[lost])[1]
    return found


def _edge_pairs(welded: NDArray[np.int64]) -> NDArray[np.int64]:
    pairs, edges = face_pairs(welded)
    again = (edges[1:] == edges[:-1]).all(axis=1)
    crowded = np.zeros(len(pairs), dtype=np.bool_)
    crowded[1:] |= again
    crowded[:-1] |= again
    return np.asarray(pairs[~crowded & (pairs[:, 0] != pairs[:, 1])])


def _table(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    at = np.concatenate([pairs[:, 0], pairs[:, 1]])
    other = np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.argsort(at, kind="stable")
    at, other = at[order], other[order]
    counts = np.bincount(at, minlength=count)
    starts = np.cumsum(counts) - counts
    table = np.full((count, SIDES), -1)
    table[at, np.arange(len(at)) - starts[at]] = other
    return table
