"""Finds the point of an object that is nearest to each of some places. Imports torch."""

from __future__ import annotations

import torch
from scipy.spatial import cKDTree
from torch import Tensor

# Distances that are held at once.
CHUNK_DISTANCES = 1 << 25


def nearest_points(
    places: Tensor, points: Tensor, chunk_distances: int = CHUNK_DISTANCES
) -> Tensor:
    """Find the nearest of all points, exactly.

    Parameters
    ----------
    places : Tensor, shape (..., 3) float32
    points : Tensor, shape (n, 3) float32
    chunk_distances : int
        On a GPU, at most so many distances are in memory at once, or those of one place.

    Returns
    -------
    Tensor, shape (...,) int64
        Indices of ``points``.
    """
    flat = places.reshape(-1, 3).contiguous()
    if flat.device.type == "cpu":
        # a tree asks each place of a few hundred points, not of all
        found = cKDTree(points.numpy(force=True)).query(flat.numpy(force=True))[1]
        return torch.from_numpy(found).long().view(places.shape[:-1])
    rows = max(1, chunk_distances // len(points))
    nearest = [_nearest_of_all(part, points) for part in flat.split(rows)]
    return torch.cat(nearest).view(places.shape[:-1])


def _nearest_of_all(places: Tensor, points: Tensor) -> Tensor:
    # differences one by one: as a product of matrices, small distances lose their digits
    distances = torch.cdist(places, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(dim=1)
