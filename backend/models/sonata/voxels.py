"""One point per cell of a grid: what Sonata is given of a cloud. Needs numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.floating[Any]]

CELL_SIZE = 0.005
# Clouds have no colour: white, with the scale of 8 bits that the network was trained with.
COLOUR = 1 / 255

_FNV_OFFSET = np.uint64(14695981039346656037)
_FNV_PRIME = np.uint64(1099511628211)


@dataclass(frozen=True)
class VoxelCloud:
    """The points of a cloud that stand for their cells.

    Parameters
    ----------
    features : (voxels, 9) float32
        Position, colour and normal.
    cells : (voxels, 3) int64
        Where a voxel lies in the grid; from 0 on each axis.
    inverse : (points,) int64
        The voxel of each point of the cloud.
    shifted : (points, 3), dtype of the points
        All points after the shift of the features: centred in x and y, z from 0.
    """

    features: NDArray[np.float32]
    cells: NDArray[np.int64]
    inverse: NDArray[np.int64]
    shifted: Reals


def voxel_cloud(
    points: Reals,
    normals: Reals,
    rng: np.random.Generator,
    chosen: NDArray[np.int64] | None = None,
) -> VoxelCloud:
    """Pick a point for every cell of a grid that has one.

    Parameters
    ----------
    points, normals : (points, 3) float
        Float64 as a rule; cells are found in the dtype of the points. Neither is changed.
    rng : numpy.random.Generator
        Picks among the points of a cell.
    chosen : (voxels,) int64, optional
        The rows picked, for a comparison with a recording.

    Returns
    -------
    VoxelCloud
        Voxels in the order of the hashes of their cells.

    Raises
    ------
    ValueError
        There is no point, the shapes do not fit, or a point is not finite.
    """
    _check(points, normals)
    shifted = points - _origin(points)
    cells = np.floor(shifted / points.dtype.type(CELL_SIZE)).astype(np.int64)
    cells -= cells.min(axis=0)
    _, inverse, counts = np.unique(_hashes(cells), return_inverse=True, return_counts=True)
    if chosen is None:
        by_voxel = np.argsort(inverse, kind="stable")
        chosen = by_voxel[np.cumsum(counts) - counts + rng.integers(counts)]
    colours = np.full((len(chosen), 3), COLOUR)
    features = np.concatenate([shifted[chosen], colours, normals[chosen]], axis=1)
    return VoxelCloud(features.astype(np.float32), cells[chosen], inverse, shifted)


def _check(points: Reals, normals: Reals) -> None:
    if points.shape != (len(points), 3) or len(points) == 0:
        raise ValueError(f"points of shape {points.shape}, not (n, 3)")
    if normals.shape != points.shape:
        raise ValueError(f"normals of shape {normals.shape} for points of {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("a point is not finite")


def _origin(points: Reals) -> Reals:
    """Return the middle in x and y, and the bottom in z; (3,)."""
    lowest, highest = points.min(axis=0), points.max(axis=0)
    origin: Reals = (lowest + highest) / 2
    origin[2] = lowest[2]
    return origin


def _hashes(cells: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the FNV-1 hashes, 64 bits, of the three numbers of each cell.

    Source
    ------
    Fowler, Noll, Vo: FNV hash (1991); here a whole number takes the place of a byte.
    """
    hashes = np.full(len(cells), _FNV_OFFSET)
    for axis in range(3):
        hashes *= _FNV_PRIME
        hashes ^= cells[:, axis].astype(np.uint64)
    return hashes
