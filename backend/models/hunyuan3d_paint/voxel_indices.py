"""Tells tokens of views where in space they lie, from maps of positions. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor

VOXELS_PER_TOKEN = 8
"""Along a side, of the grid that the tokens of a level are counted in."""

# A cell of which fewer pixels show the object lies nowhere.
_LEAST_SHARE_OF_CELL = 16
# Tokens that are nearer than so many cells are near: the diagonal of one.
_NEAR_CELLS = 1.73


def level_voxels(positions: Tensor, latent_side: int, levels: int) -> tuple[Tensor, ...]:
    """Return where the tokens of each level lie, for ``ViewInputs.voxels``.

    Parameters
    ----------
    positions : Tensor, shape (views, 3, side, side)
        Map in pixels from 0 to 1; where any channel is 1 there is no object.
    latent_side : int
        Tokens along a side at the finest level; divides the side of the map.
    levels : int

    Returns
    -------
    tuple of Tensor, shape (views * tokens, 3) int64
    """
    grids = [latent_side // 2**level for level in range(levels)]
    return tuple(voxel_indices(positions, grid, VOXELS_PER_TOKEN * grid) for grid in grids)


def voxel_indices(
    positions: Tensor, grid: int, voxels: int, least_pixels: int | None = None
) -> Tensor:
    """Return the voxel that the mean of each cell of a map of positions lies in.

    Parameters
    ----------
    positions : Tensor, shape (views, 3, side, side)
        As for ``level_voxels``.
    grid : int
        Cells along a side; divides it.
    voxels : int
        Along a side of the cube from 0 to 1.
    least_pixels : int, optional
        A cell with fewer of the object lies in voxel 0. A sixteenth of the cell if absent.

    Returns
    -------
    Tensor, shape (views * grid * grid, 3) int64

    Notes
    -----
    Computed in half precision, as the network was trained: more digits would put one mean in
    fifty into the voxel beside.
    """
    means = cell_means(positions, grid, least_pixels).clamp(0, 1)
    return (means * (voxels - 1)).round().long().flatten(0, 1)


def cell_means(positions: Tensor, grid: int, least_pixels: int | None = None) -> Tensor:
    """Return the mean position of the object in each cell, shape (views, grid * grid, 3) float16.

    Parameters are those of ``voxel_indices``.
    """
    half = positions.half()
    cell = half.shape[-1] // grid
    is_object = (half != 1).all(dim=1, keepdim=True)
    counts = _sums(is_object, grid, cell)
    sums = _sums(torch.where(is_object, half, 0.0), grid, cell)
    least = cell * cell // _LEAST_SHARE_OF_CELL if least_pixels is None else least_pixels
    means = torch.where(counts < least, 0.0, sums / counts.clamp(min=1).to(sums.dtype))
    return means.flatten(2).transpose(1, 2)


def is_near(positions: Tensor, grid: int, least_pixels: int = 5) -> Tensor:
    """Tell which tokens of a level lie near which others.

    No network that is released looks at this; it is here to be compared with the original.

    Returns
    -------
    Tensor, shape (views, views, grid * grid, grid * grid) bool
    """
    means = cell_means(positions, grid, least_pixels)
    apart = means[:, None, :, None] - means[None, :, None]
    is_within: Tensor = apart.norm(dim=-1) < _NEAR_CELLS / grid
    return is_within


def _sums(image: Tensor, grid: int, cell: int) -> Tensor:
    """Add up each cell, (views, channels, side, side) to (views, channels, grid, grid)."""
    sums: Tensor = image.unflatten(3, (grid, cell)).unflatten(2, (grid, cell)).sum((3, 5))
    return sums
