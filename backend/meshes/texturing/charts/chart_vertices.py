"""The vertices of charts: one for each place in each chart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points


@dataclass(frozen=True)
class ChartVertices:
    """Faces of charts, with a vertex for each place in each chart.

    Parameters
    ----------
    faces : (m, 3) int64
        Corners as vertices of charts.
    places : (v,) int64
        Place of each vertex.
    charts : (v,) int64
        Chart of each vertex, ascending.
    """

    faces: Indices
    places: Indices
    charts: Indices

    @classmethod
    def of(cls, faces: Indices, charts: Indices) -> ChartVertices:
        """Number them.

        Parameters
        ----------
        faces : (m, 3) int64
            Corners as places.
        charts : (m,) int64
            Chart of each face, from 0.
        """
        span = int(faces.max(initial=0)) + 1
        keys, corners = np.unique(charts[:, None] * span + faces, return_inverse=True)
        owners, places = np.divmod(keys, span)
        return cls(corners.reshape(-1, 3).astype(np.int64), places, owners)

    @property
    def firsts(self) -> Indices:
        """The first vertex of each chart, (k,) int64."""
        return np.flatnonzero(np.diff(self.charts, prepend=-1)).astype(np.int64)

    def gathered(self, corners: Points) -> Points:
        """Turn a row per corner, (m, 3, c), into one per vertex, (v, c); corners agree."""
        values = np.zeros((len(self.places), corners.shape[2]))
        values[self.faces.reshape(-1)] = corners.reshape(-1, corners.shape[2])
        return values
