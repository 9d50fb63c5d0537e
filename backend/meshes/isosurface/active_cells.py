"""Finds the cells of a grid that a surface passes. Imports torch.

The grid is thought to have a rim of one corner around it that lies outside. Then a flat index may
run over the end of a row: all it meets there are two corners of the rim, which the surface does
not part. So cells have the flat index of their first corner, and need no counting in rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# What one slab holds at once, in corners: measured on a CPU, 2^20 to 2^22 are the fastest.
SLAB_CORNERS = 1 << 21
WORD_BYTES = 8


@dataclass(frozen=True)
class Grid:
    """Values on the corners of a grid, and around it a rim outside.

    Parameters
    ----------
    values : Tensor, shape (x, y, z) float32
        Contiguous; NaN where unknown.
    level : float
        What is larger lies inside.
    """

    values: Tensor
    level: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Corners along x, y and z, with the rim."""
        x, y, z = self.values.shape
        return x + 2, y + 2, z + 2

    @property
    def strides(self) -> tuple[int, int, int]:
        """How far the flat indices of neighbours along x, y and z are apart."""
        _, y, z = self.shape
        return y * z, z, 1

    def places(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y and z of corners, each (n,) int64, -1 in the rim before the first corner."""
        stride_x, stride_y, _ = self.strides
        x = flat // stride_x
        rest = flat - x * stride_x
        y = rest // stride_y
        return x - 1, y - 1, rest - y * stride_y - 1


@dataclass(frozen=True)
class ActiveCells:
    """Cells that the surface passes and whose corners are all known, in the order of the grid.

    Parameters
    ----------
    corners : Tensor, shape (n,) int64
        Flat index of the first corner of each.
    patterns : Tensor, shape (n,) int64
        Which of its corners lie inside: bit 4 x + 2 y + z.
    """

    corners: Tensor
    patterns: Tensor

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.corners)


def active_cells(grid: Grid, *, closed: bool, slab_corners: int = SLAB_CORNERS) -> ActiveCells:
    """Find the cells that the surface passes, one slab of the grid after the other.

    Parameters
    ----------
    closed : bool
        Whether the cells between the grid and its rim count.
    slab_corners : int
        Beside the grid, less than ten bytes for each of so many corners are held at once.
    """
    found = list(_cells_of_slabs(grid, slab_corners))
    corners = torch.cat([corners for corners, _ in found])
    patterns = torch.cat([patterns for _, patterns in found])
    if closed:
        return ActiveCells(corners, patterns)
    is_within = torch.ones_like(corners, dtype=torch.bool)
    for place, side in zip(grid.places(corners), grid.values.shape, strict=True):
        is_within &= (place >= 0) & (place < side - 1)
    return ActiveCells(corners[is_within], patterns[is_within])


def _cells_of_slabs(grid: Grid, slab_corners: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the flat indices of cells that are passed, and their patterns, slab by slab."""
    planes = grid.shape[0]
    thickness = max(2, slab_corners // grid.strides[0])
    for first in range(0, planes - 1, thickness - 1):
        last = min(first + thickness, planes)
        known = grid.values[max(first - 1, 0) : last - 1]
        patterns = _patterns(grid, first, last, known > grid.level)
        is_passed = patterns + 1 & 254  # 0 where all are outside or, as bytes wrap, inside
        if bool(known.sum().isnan()):  # five times as fast as to look at each of them
            is_passed[_patterns(grid, first, last, known.isnan()) != 0] = 0
        cells = _indices_of_nonzero(is_passed)
        yield cells + first * grid.strides[0], patterns[cells].long()


def _patterns(grid: Grid, first: int, last: int, flags: Tensor) -> Tensor:
    """Gather a flag of eight corners into a byte, for each cell from plane to plane.

    Parameters
    ----------
    flags : Tensor, shape (x, y, z) bool
        Of the corners on these planes that are not in the rim.

    Returns
    -------
    Tensor, shape (n,) uint8
        By the flat index, from the first plane on. What is added at the end is 0, so that the
        length is a multiple of eight.
    """
    stride_x, stride_y, _ = grid.strides
    corners = (last - first) * stride_x
    excess = -(corners - stride_x - stride_y - 1) % WORD_BYTES
    bits = torch.zeros(corners + excess, dtype=torch.uint8, device=flags.device)
    planes = bits[:corners].view(last - first, *grid.shape[1:])
    start = int(first == 0)
    planes[start : start + len(flags), 1:-1, 1:-1] = flags.view(torch.uint8)
    along_z = bits[:-1] | bits[1:] << 1
    along_y = along_z[:-stride_y] | along_z[stride_y:] << 2
    return along_y[:-stride_x] | along_y[stride_x:] << 4


def _indices_of_nonzero(flags: Tensor) -> Tensor:
    """Return the indices of bytes that are not 0, (n,) int64; most of them are, so by words."""
    words = torch.nonzero(flags.view(torch.int64)).squeeze(1)
    row, byte = torch.nonzero(flags.view(-1, WORD_BYTES)[words], as_tuple=True)
    return words[row] * WORD_BYTES + byte
