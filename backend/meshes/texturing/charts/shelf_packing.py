"""Packs very many boxes in rows: quick, whatever their number."""

from __future__ import annotations

import numpy as np

from backend.meshes.closing.half_edges import Points

HALVINGS = 24
MOST_PADDING_SHARE = 0.25
"""Of the texture: where gaps would take more of it, they shrink."""


def shelf_packed(sizes: Points, resolution: int, padding: float) -> tuple[Points, float]:
    """Stand boxes on shelves, the highest first, as large as they fit.

    Parameters
    ----------
    sizes : (k, 2) float64
        Width and height of the boxes, in any unit.
    resolution : int
        Side of the texture in texels.
    padding : float
        Gap between boxes in texels.

    Returns
    -------
    places : (k, 2) float64
        Low corner of each box, in texels.
    texels_per_unit : float
    """
    room = padding**2 * len(sizes)
    gap = padding * min(1.0, float(np.sqrt(MOST_PADDING_SHARE * resolution**2 / max(room, 1e-12))))
    order = np.lexsort((-sizes[:, 0], -sizes[:, 1]))
    area = float((sizes[:, 0] * sizes[:, 1]).sum())
    longest = float(sizes.max(initial=0.0))
    low, high = 0.0, resolution / max(longest, float(np.sqrt(area)), 1e-12)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        _, height = _shelves(sizes[order] * middle + gap, resolution - gap)
        low, high = (middle, high) if height <= resolution - gap else (low, middle)
    places = np.zeros_like(sizes)
    places[order], _ = _shelves(sizes[order] * low + gap, resolution - gap)
    return places + gap, low


def _shelves(boxes: Points, width: float) -> tuple[Points, float]:
    """Place boxes sorted by height, and say how high all shelves are together."""
    ends = np.cumsum(boxes[:, 0])
    places = np.zeros_like(boxes)
    begin, height = 0, 0.0
    while begin < len(boxes):
        before = ends[begin - 1] if begin else 0.0
        end = max(begin + 1, int(np.searchsorted(ends, before + width, "right")))
        places[begin:end, 0] = ends[begin:end] - boxes[begin:end, 0] - before
        places[begin:end, 1] = height
        height += float(boxes[begin, 1])
        begin = end
    return places, height
