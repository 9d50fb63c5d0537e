"""Lines that visit the cells of a grid so that those near on them lie near. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.models.sonata.config import ORDERS

# Three numbers of so many bits fit into one of 64 bits, and so does the key of a neighbour.
MOST_BITS = 16
# How bits are spread, each step by the distance at the left: two zeros between one and the next.
_SPREADING = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)
_TRANSPOSED = (1, 0, 2)


def order_permutations(generator: torch.Generator, levels: int = 5) -> Tensor:
    """Draw which of the orders each block of each level uses.

    Parameters
    ----------
    generator : torch.Generator
        On the CPU.
    levels : int

    Returns
    -------
    Tensor, shape (levels, 4) int64
        A permutation of the four orders per level. Block number i uses order number i modulo 4
        of its level's permutation.
    """
    drawn = [torch.randperm(len(ORDERS), generator=generator) for _ in range(levels)]
    return torch.stack(drawn)


def bits_of(largest: int) -> int:
    """Return how many bits per axis the codes of a grid have.

    Parameters
    ----------
    largest : int
        Of all numbers of all cells.

    Raises
    ------
    ValueError
        The grid is too fine for the extent of the cloud.
    """
    bits = (largest + 1).bit_length()
    if bits > MOST_BITS:
        raise ValueError(
            f"cell number {largest} needs {bits} bits per axis of the grid, and {MOST_BITS} is all"
        )
    return bits


def codes(cells: Tensor, order: int, bits: int) -> Tensor:
    """Return where cells come on a line.

    Parameters
    ----------
    cells : Tensor, shape (count, 3) int64
        From 0 to 2^bits - 1.
    order : int
        Index into ``config.ORDERS``.
    bits : int

    Returns
    -------
    Tensor, shape (count,) int64
        Different for different cells.
    """
    name = ORDERS[order]
    x, y, z = cells[:, _TRANSPOSED].unbind(1) if name.endswith("-trans") else cells.unbind(1)
    return _hilbert(x, y, z, bits) if name.startswith("hilbert") else _interleaved(x, y, z)


def _interleaved(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Return the Morton code: the bits of x, y and z by turns, those of x the higher ones."""
    return (_spread(x) << 2) | (_spread(y) << 1) | _spread(z)


def _spread(numbers: Tensor) -> Tensor:
    for distance, mask in _SPREADING:
        numbers = (numbers | (numbers << distance)) & mask
    return numbers


def _hilbert(x: Tensor, y: Tensor, z: Tensor, bits: int) -> Tensor:
    """Return the index on Hilbert's curve.

    Source
    ------
    Skilling, Programming the Hilbert curve (2004).
    """
    axes = [x, y, z]
    for bit in reversed(range(bits)):
        below = (1 << bit) - 1
        for axis in range(3):
            # All ones where the axis has the bit, all zeros elsewhere.
            has_bit = -((axes[axis] >> bit) & 1)
            exchanged = (axes[0] ^ axes[axis]) & below & ~has_bit
            axes[axis] = axes[axis] ^ exchanged
            axes[0] = axes[0] ^ exchanged ^ (has_bit & below)
    code = _interleaved(*axes)
    shift = 1
    while shift < 3 * bits:
        code = code ^ (code >> shift)
        shift *= 2
    return code
