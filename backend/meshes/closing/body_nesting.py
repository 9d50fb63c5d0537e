"""Which bodies are hollows in others, and which are inside out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points

LARGE_BODIES = 32  # hollows are looked for in the largest bodies only
HOLLOW_SHARE = 0.999  # of the body around it, at the most; else nothing would be left of that


def body_boxes(points: Points, faces: Indices, bodies: Indices, count: int) -> Points:
    """Lowest and highest corner of each body, (b, 2, 3) float64; every body has a face."""
    order = np.argsort(bodies, kind="stable")
    starts = np.searchsorted(bodies[order], np.arange(count))
    corners = points[faces[order]]
    low = np.minimum.reduceat(corners.min(axis=1), starts)
    high = np.maximum.reduceat(corners.max(axis=1), starts)
    return np.stack([low, high], axis=1)


def inside_out(volumes: Points, boxes: Points) -> NDArray[np.bool_]:
    """Say which bodies have a negative volume without being a hollow in a larger body, (b,) bool.

    Parameters
    ----------
    volumes : (b,) float64
        Signed.
    boxes : (b, 2, 3) float64
    """
    found = volumes < 0
    large = np.argsort(-volumes, kind="stable")[:LARGE_BODIES]
    low, high = boxes[large, 0], boxes[large, 1]
    for body in np.flatnonzero(found):
        around = (low <= boxes[body, 0]).all(axis=1) & (high >= boxes[body, 1]).all(axis=1)
        roomy = HOLLOW_SHARE * volumes[large] > -volumes[body]
        found[body] = not (around & roomy).any()
    return found


def bodies_to_turn(volumes: Points, boxes: Points) -> NDArray[np.bool_]:
    """Say which bodies to turn over so that all but hollows look outwards, (b,) bool.

    When there is more volume inside out than not, everything is turned first.
    """
    over = np.full(len(volumes), volumes.sum() < 0)
    return over ^ inside_out(np.where(over, -volumes, volumes), boxes)
