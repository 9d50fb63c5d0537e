"""Grids that halve each other's cells, and where a surface may pass through them. Imports torch.

A level is named by its cells along x, y and z. The coarser one of two has every second corner of
the finer one, and its last corner, so that any number of cells can be halved.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Shape = tuple[int, int, int]
Region = tuple[slice, ...]
Join = Callable[[Tensor, Tensor], Tensor]

# Half a cell's diagonal in sides: no point inside is farther from the nearest corner.
REACH_CELLS = 3**0.5 / 2
# The coarsest level has at least this part of the cells wanted along its shortest side.
FLATTEST = 4


def full_shape(resolution: int | Shape) -> Shape:
    """Cells along x, y and z.

    >>> full_shape(96)
    (96, 96, 96)
    """
    return (resolution,) * 3 if isinstance(resolution, int) else resolution


def levels_of(finest: Shape, coarsest_cells: int) -> list[Shape]:
    """List the levels, the coarsest first, which has enough cells along its sides.

    That is so many along the longest one and a quarter of that along the shortest: in a flat grid
    whole bodies fit between corners that lie only a few cells apart.

    >>> levels_of((96, 96, 51), 32)
    [(48, 48, 26), (96, 96, 51)]
    >>> levels_of((40, 40, 40), 32), levels_of((128, 128, 9), 32)
    ([(40, 40, 40)], [(128, 128, 9)])
    """
    levels = [finest]
    while _is_fine_enough(halved := _halved(levels[0]), coarsest_cells) and halved != levels[0]:
        levels.insert(0, halved)
    return levels


def positions(
    levels: list[Shape], number: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the corners of a level lie in the finest one, an index per axis."""
    stride = 1 << (len(levels) - 1 - number)
    x, y, z = (
        (torch.arange(cells + 1, device=device) * stride).clamp(max=last)
        for cells, last in zip(levels[number], levels[-1], strict=True)
    )
    return x, y, z


def cells_crossed(values: Tensor) -> Tensor:
    """Mark the cells in which the sign changes; 0 counts as outside."""
    inside = values > 0
    return _over_corners(inside, torch.logical_or) & ~_over_corners(inside, torch.logical_and)


def cells_near_surface(values: Tensor, band: float = 0.0) -> Tensor:
    """Mark the cells that the surface passes, their neighbours, and those it comes near.

    Parameters
    ----------
    values : Tensor, shape (rx + 1, ry + 1, rz + 1)
    band : float
        Cells with a corner that is nearer to 0 than this are marked too.

    Returns
    -------
    Tensor, shape (rx, ry, rz) bool
    """
    marked = _grown(cells_crossed(values)) | _cells_in_reach(values)
    if band > 0:
        marked |= _over_corners(values.abs() < band, torch.logical_or)
    return marked


def corners_in_halves(cells: Tensor, finer: Shape) -> Tensor:
    """Mark the corners of a finer level that lie in or on marked cells of the coarser one."""
    for axis, count in enumerate(finer):
        index = torch.arange(count + 1, device=cells.device)
        before = ((index - 1) // 2).clamp(min=0)
        after = (index // 2).clamp(max=cells.shape[axis] - 1)
        cells = cells.index_select(axis, before) | cells.index_select(axis, after)
    return cells


def split_cells(values: Tensor, is_asked: Tensor, finer: Shape) -> tuple[Tensor, Tensor]:
    """Carry a level over to the finer one.

    Returns
    -------
    values : Tensor
        Asked corners as they are, those between interpolated, on the side of 0 of their cell.
    is_asked : Tensor, bool
        Whether a corner was asked on the coarser level.
    """
    for axis, count in enumerate(finer):
        index = torch.arange(count + 1, device=values.device)
        before, after = index // 2, (index + 1) // 2
        before[-1] = after[-1] = values.shape[axis] - 1
        finer_values = values.index_select(axis, before)
        between = finer_values.transpose(0, axis)[1:count:2].transpose(0, axis)
        between += values.narrow(axis, 1, count // 2)  # in place: the finest level is large
        between /= 2
        values = finer_values
        own = before == after
        shape = [1, 1, 1]
        shape[axis] = count + 1
        is_asked = is_asked.index_select(axis, before) & own.view(shape)
    return values, is_asked


def unsettled_corners(
    values: Tensor, is_asked: Tensor, region: Region
) -> tuple[Tensor, Region] | None:
    """Mark the corners not asked yet of cells in which the sign changes; None if there are none.

    Parameters
    ----------
    region : tuple of slice
        Corners among which to look.

    Returns
    -------
    Tensor, bool
        In the shape of ``values``.
    tuple of slice
        Where to look after these are asked.
    """
    asked = is_asked[region]
    is_open = cells_crossed(values[region]) & ~_over_corners(asked, torch.logical_and)
    if not bool(is_open.any()):
        return None
    todo = torch.zeros_like(is_asked)
    todo[region] = _corners_of(is_open) & ~asked
    return todo, _around(todo)


def _is_fine_enough(shape: Shape, coarsest_cells: int) -> bool:
    return max(shape) >= coarsest_cells and FLATTEST * min(shape) >= coarsest_cells


def _halved(shape: Shape) -> Shape:
    x, y, z = ((cells + 1) // 2 for cells in shape)
    return x, y, z


def _cells_in_reach(values: Tensor) -> Tensor:
    """Cells with a corner nearer to 0 than the field changes from there to the cell's middle."""
    squared = torch.zeros_like(values)
    for axis in range(3):
        steps = values.diff(dim=axis).abs()
        end = torch.zeros_like(steps.narrow(axis, 0, 1))
        before, after = torch.cat([end, steps], axis), torch.cat([steps, end], axis)
        squared += torch.maximum(before, after) ** 2
    change = _over_corners(squared, torch.maximum).sqrt()
    return _over_corners(values.abs(), torch.minimum) <= REACH_CELLS * change


def _over_corners(corners: Tensor, join: Join) -> Tensor:
    """Join the eight corners of every cell."""
    for axis in range(3):
        count = corners.shape[axis] - 1
        corners = join(corners.narrow(axis, 0, count), corners.narrow(axis, 1, count))
    return corners


def _corners_of(cells: Tensor) -> Tensor:
    """Mark the corners of marked cells."""
    for axis in range(3):
        end = torch.zeros_like(cells.narrow(axis, 0, 1))
        cells = torch.cat([end, cells], axis) | torch.cat([cells, end], axis)
    return cells


def _grown(cells: Tensor) -> Tensor:
    """Mark the neighbours of marked cells too, across sides, edges and corners."""
    return _over_corners(_corners_of(cells), torch.logical_or)


def _around(corners: Tensor) -> Region:
    """Smallest block with all marked corners and the cells around them."""
    found = corners.nonzero()
    low, high = found.amin(0).tolist(), found.amax(0).tolist()
    return tuple(slice(max(0, a - 1), b + 2) for a, b in zip(low, high, strict=True))
