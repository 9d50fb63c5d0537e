"""Boxes around the faces of each label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def label_boxes(
    corners: NDArray[np.float64], labels: NDArray[np.integer], count: int
) -> NDArray[np.float64]:
    """Find the lowest and the highest corner of each label, (count, 2, 3) float64.

    Parameters
    ----------
    corners : (m, 3, 3) float64
        Of faces.
    labels : (m,) int
        From 0 to ``count - 1``; every label has a face.
    count : int
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(count))
    low = np.minimum.reduceat(corners.min(axis=1)[order], starts, axis=0)
    high = np.maximum.reduceat(corners.max(axis=1)[order], starts, axis=0)
    return np.stack([low, high], axis=1)
