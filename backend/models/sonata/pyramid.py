"""The grids that Sonata goes through, and all that it needs to know of them. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from backend.models.sonata.config import SonataConfig
from backend.models.sonata.neighbours import Neighbours, cell_keys, cells_of, find_neighbours
from backend.models.sonata.serialization import bits_of, codes


@dataclass(frozen=True)
class GridLevel:
    """One grid; each of its cells is a row of features.

    Parameters
    ----------
    cells : Tensor, shape (count, 3) int64
    parents : Tensor or None
        Shape (count of the finer level,) int64: the row here that each finer cell falls into.
        None for the finest level.
    orders : tuple of Tensor, each of shape (count,) int64
        For each block its rows along a line through the grid. Blocks with the same line share
        the tensor.
    neighbours : Neighbours
        Shared by all blocks.
    """

    cells: Tensor
    parents: Tensor | None
    orders: tuple[Tensor, ...]
    neighbours: Neighbours


pytree.register_dataclass(GridLevel)


def grid_pyramid(
    cells: Tensor, permutations: Tensor, config: SonataConfig
) -> tuple[GridLevel, ...]:
    """Halve a grid until there is one for each level.

    Parameters
    ----------
    cells : Tensor, shape (count, 3) int64
        All different, from 0 on each axis.
    permutations : Tensor, shape (levels, 4) int64
        From ``order_permutations``, on the CPU.
    config : SonataConfig

    Returns
    -------
    tuple of GridLevel
        The finest first, with the cells in the order given; those of the others are sorted.

    Raises
    ------
    ValueError
        There is no cell, one is negative, or the grid is too fine for the extent of the cloud.

    Notes
    -----
    The device is asked for numbers, and so waited for, a few times per level.
    """
    largest = _largest(cells)
    levels: list[GridLevel] = []
    parents = None
    for lines, blocks in zip(permutations.tolist(), config.depths, strict=True):
        if levels:
            keys, parents = torch.unique(cell_keys(cells // 2), return_inverse=True)
            cells, largest = cells_of(keys), largest // 2
        orders = _orders(cells, lines, blocks, bits_of(largest))
        levels.append(GridLevel(cells, parents, orders, find_neighbours(cells)))
    return tuple(levels)


def _largest(cells: Tensor) -> int:
    if cells.shape[0] == 0:
        raise ValueError("a cloud without points")
    lowest, largest = (int(number) for number in torch.stack(cells.aminmax()).tolist())
    if lowest < 0:
        raise ValueError(f"cell number {lowest} is negative")
    return largest


def _orders(cells: Tensor, lines: list[int], blocks: int, bits: int) -> tuple[Tensor, ...]:
    found: dict[int, Tensor] = {}
    for line in lines[:blocks]:
        found[line] = codes(cells, line, bits).argsort()
    return tuple(found[lines[block % len(lines)]] for block in range(blocks))
