"""Which loops are holes in the cap of another: a tube that is cut ends in a ring, not a disc."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from backend.meshes.closing.half_edges import Points
from backend.meshes.closing.loop_plane import LoopPlane
from backend.meshes.closing.polygons import inside

MAX_LOOPS = 100  # beyond, each loop is capped alone
MIN_OPPOSITION = 0.9  # cosine between the normals
MAX_STEP = 0.3  # height between the loops, of the gap between them
PROBES = 8


def group_loops(loops: Sequence[Points]) -> list[list[int]]:
    """Group loops that share a cap.

    Returns
    -------
    list of list of int
        In each group the outline first, then the holes in it.
    """
    if len(loops) > MAX_LOOPS:
        return [[index] for index in range(len(loops))]
    planes = [LoopPlane.of(loop) for loop in loops]
    outer_of: dict[int, int] = {}
    for hole in range(len(loops)):
        around = [o for o in range(len(loops)) if o != hole and _holds(loops, planes, o, hole)]
        if around:
            outer_of[hole] = min(around, key=lambda index: _radius(planes[index]))
    groups = {index: [index] for index in range(len(loops)) if index not in outer_of}
    for hole, outer in outer_of.items():
        if outer in groups:
            groups[outer].append(hole)
        else:  # a loop cannot be hole and outline at once
            groups[hole] = [hole]
    return list(groups.values())


def _radius(plane: LoopPlane | None) -> float:
    return plane.radius if plane else float("inf")


def _holds(
    loops: Sequence[Points], planes: Sequence[LoopPlane | None], outer: int, hole: int
) -> bool:
    around, within = planes[outer], planes[hole]
    if around is None or within is None or within.radius >= around.radius:
        return False
    if around.normal @ within.normal > -MIN_OPPOSITION:
        return False
    if np.linalg.norm(around.centre - within.centre) > around.radius:
        return False
    outline, ring = around.flat(loops[outer]), around.flat(loops[hole])
    if not inside(outline, ring[:: max(len(ring) // PROBES, 1)]).all():
        return False
    gap = float(np.min(cKDTree(outline).query(ring)[0]))
    heights = np.concatenate([around.heights(loops[i]) for i in (outer, hole)])
    return bool(np.abs(heights).max() < MAX_STEP * gap)
