"""Which cells of a grid touch which. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

# Bits of one number in a key; one more than codes have, and one for the cell beyond the border.
KEY_BITS = 20
# Of the 27 cells around one: itself.
MIDDLE = 13


@dataclass(frozen=True)
class Neighbours:
    """Pairs of cells that touch by a face, an edge or a corner, each pair once.

    Parameters
    ----------
    rows, others : tuple of Tensor, each of shape (pairs,) int64
        13 tensors: in number i, cell ``others`` lies at step 14 + i of the 27 steps around cell
        ``rows``, so the latter lies at step 12 - i around the former. Steps count as
        9 x + 3 y + z, with x, y and z from 0 to 2. No cell is twice in one tensor.
    """

    rows: tuple[Tensor, ...]
    others: tuple[Tensor, ...]


pytree.register_dataclass(Neighbours)


def cell_keys(cells: Tensor) -> Tensor:
    """Pack the numbers of each cell into one that sorts as the cells do.

    Parameters
    ----------
    cells : Tensor, shape (count, 3) int64
        From -1 to 2^16 on each axis.

    Returns
    -------
    Tensor, shape (count,) int64
        A step from cell to cell is always the same difference of keys.
    """
    x, y, z = (cells + 1).unbind(1)
    return (x << 2 * KEY_BITS) | (y << KEY_BITS) | z


def cells_of(keys: Tensor) -> Tensor:
    """Undo ``cell_keys``."""
    mask = (1 << KEY_BITS) - 1
    axes = [keys >> 2 * KEY_BITS, (keys >> KEY_BITS) & mask, keys & mask]
    return torch.stack(axes, dim=1) - 1


def find_neighbours(cells: Tensor) -> Neighbours:
    """Find the neighbours of all cells by looking their keys up in sorted ones.

    Parameters
    ----------
    cells : Tensor, shape (count, 3) int64
        All different.

    Returns
    -------
    Neighbours
    """
    keys, order = cell_keys(cells).sort()
    wanted = keys + _later_steps(keys.device)[:, None]
    found = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    # Two questions to the device, each for all steps at once.
    steps, rows = (keys[found] == wanted).nonzero(as_tuple=True)
    pairs = torch.bincount(steps, minlength=MIDDLE).tolist()
    return Neighbours(rows=order[rows].split(pairs), others=order[found[steps, rows]].split(pairs))


def _later_steps(device: torch.device) -> Tensor:
    """Return the differences of keys of steps 14 to 26; the others are their opposites."""
    steps = torch.arange(MIDDLE + 1, 2 * MIDDLE + 1, device=device)
    axes = [steps // 9 - 1, steps // 3 % 3 - 1, steps % 3 - 1]
    return (axes[0] << 2 * KEY_BITS) + (axes[1] << KEY_BITS) + axes[2]
