"""Which of the six directions of the axes each face looks to, in large patches."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface, unit_rows

AXES = np.concatenate([np.eye(3), -np.eye(3)])
SMOOTHING_ROUNDS = 3
LABEL_ROUNDS = 20
AGREEMENT = 0.6
"""How much neighbours count against the direction of a face."""


def axis_labels(surface: ChartSurface) -> Indices:
    """Give each face the number of a direction, (m,) int64 from 0 to 5.

    Directions of the faces are smoothed over their neighbours; then, for some rounds, each face
    takes the direction that is nearest and that most of its neighbours have.
    """
    averaging = surface.averaging()
    normals = _smoothed(surface.normals, averaging)
    costs = 1 - normals @ AXES.T
    labels = np.argmin(costs, axis=1)
    for _ in range(LABEL_ROUNDS):
        chosen = (labels[:, None] == np.arange(len(AXES))).astype(np.float64)
        found = np.argmin(costs - 4 * AGREEMENT * (averaging @ chosen), axis=1)
        if (found == labels).all():
            break
        labels = found
    return np.asarray(labels, dtype=np.int64)


def _smoothed(normals: Points, averaging: sparse.csr_matrix) -> Points:
    for _ in range(SMOOTHING_ROUNDS):
        normals = unit_rows(normals + averaging @ normals)
    return normals
