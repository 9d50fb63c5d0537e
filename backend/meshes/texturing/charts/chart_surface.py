"""The surface that is cut into charts: places, faces, and which faces hang together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.edge_pairs import paired_faces

TINY = 1e-300
NO_AREA = 1e-14
"""Of the square of the longest side: less is rounding."""


@dataclass(frozen=True)
class ChartSurface:
    """Triangles measured, in a box whose longest side is 1.

    Parameters
    ----------
    points : (n, 3) float64
    faces : (m, 3) int64
        Corners; no face has the same twice.
    normals : (m, 3) float64
        Zero where a face has no area.
    areas : (m,) float64
    pairs : (e, 2) int64
        Faces on the two sides of an edge that look to the same side of the surface.
    lengths : (e,) float64
        Of those edges.
    """

    points: Points
    faces: Indices
    normals: Points
    areas: Points
    pairs: Indices
    lengths: Points

    @classmethod
    def of(cls, points: Points, faces: Indices) -> ChartSurface:
        """Measure triangles.

        Parameters
        ----------
        points : (n, 3) float64
            Finite, in any unit.
        faces : (m, 3) int64
            Corners; no face has the same twice.
        """
        unit = _in_unit_box(points, faces)
        a, b, c = (unit[faces[:, corner]] for corner in range(3))
        cross = np.cross(b - a, c - a)
        doubled = np.linalg.norm(cross, axis=1)
        has_area = doubled > 2 * NO_AREA
        normals = np.where(has_area[:, None], cross / np.maximum(doubled, TINY)[:, None], 0.0)
        pairs, edges = paired_faces(faces, normals)
        lengths = np.linalg.norm(unit[edges[:, 0]] - unit[edges[:, 1]], axis=1)
        return cls(unit, faces, normals, np.where(has_area, doubled / 2, 0.0), pairs, lengths)

    def averaging(self) -> sparse.csr_matrix:
        """Matrix that averages a value per face over its neighbours, by length of edge, (m, m)."""
        one, other = self.pairs.T
        weights = np.maximum(np.concatenate([self.lengths, self.lengths]), 1e-12)
        places = (np.concatenate([one, other]), np.concatenate([other, one]))
        links = sparse.coo_matrix((weights, places), (len(self.faces),) * 2).tocsr()
        total = np.asarray(links.sum(axis=1)).reshape(-1)
        matrix: sparse.csr_matrix = (sparse.diags(1 / np.maximum(total, TINY)) @ links).tocsr()
        return matrix

    def pieces(self, labels: Indices) -> Indices:
        """Number the connected pieces of each label, (m,) int64 from 0."""
        one, other = self.pairs[labels[self.pairs[:, 0]] == labels[self.pairs[:, 1]]].T
        links = sparse.coo_matrix((np.ones(len(one), np.int8), (one, other)), (len(labels),) * 2)
        return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)

    def part(self, chosen: NDArray[np.bool_]) -> ChartSurface:
        """Take some faces with the edges between them; points stay as they are."""
        number = np.cumsum(chosen) - 1
        inside = chosen[self.pairs].all(axis=1)
        return ChartSurface(
            self.points,
            self.faces[chosen],
            self.normals[chosen],
            self.areas[chosen],
            np.asarray(number[self.pairs[inside]], dtype=np.int64),
            self.lengths[inside],
        )


def summed(values: Points, groups: Indices, count: int) -> Points:
    """Sum the rows of each group, (count, c) float64.

    Parameters
    ----------
    values : (m, c) float64
    groups : (m,) int64
        From 0.
    count : int
        Number of groups.
    """
    columns = [np.bincount(groups, weights=column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1)


def unit_rows(vectors: Points) -> Points:
    """Scale each row to length 1; a row of zeros becomes +Y."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    return np.where(length > 1e-12, vectors / np.maximum(length, TINY), up)


def _in_unit_box(points: Points, faces: Indices) -> Points:
    used = points[np.unique(faces)]
    low = used.min(axis=0) if len(used) else np.zeros(3)
    size = float(np.ptp(used, axis=0).max()) if len(used) else 0.0
    return np.asarray((points - low) / (size if size > 0 else 1.0))
