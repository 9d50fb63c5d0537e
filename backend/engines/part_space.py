"""Where on the grid of a whole object one of its parts is looked for. Imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backend.engines.field_calls import Box
from backend.engines.grid_levels import Shape

Reals: TypeAlias = NDArray[np.floating[Any]]

HALF_SIDE = 1.01
"""Half of the side of the cube that the networks know, in their units."""
MARGIN_SHARE = 0.1
"""Of the longest side of a part's space: so far it may lie beyond its space on every side."""
LEAST_MARGIN_CELLS = 4


class Side(NamedTuple):
    """One of the six sides of a block of cells."""

    axis: int
    is_upper: bool


SIDES = tuple(Side(axis, is_upper) for axis in range(3) for is_upper in (False, True))


@dataclass(frozen=True)
class Extent:
    """A block of cells of the grid of the whole object, whose cells are all the same.

    Parameters
    ----------
    lower, upper : three int
        The first and the last corner along x, y and z, from 0 to ``cells``.
    cells : int
        Along each side of the whole cube.
    """

    lower: Shape
    upper: Shape
    cells: int

    @property
    def shape(self) -> Shape:
        """Cells along x, y and z."""
        x, y, z = (high - low for low, high in zip(self.lower, self.upper, strict=True))
        return x, y, z

    @property
    def box(self) -> Box:
        """The space that it fills, in units of the networks."""
        return Box(self._place(self.lower), self._place(self.upper))

    def can_grow(self, side: Side) -> bool:
        """Whether the cube goes on beyond a side."""
        if side.is_upper:
            return self.upper[side.axis] < self.cells
        return self.lower[side.axis] > 0

    def beyond(self, side: Side, cells: int) -> Extent:
        """Return the block behind a side, so many cells thick, or up to the end of the cube."""
        if side.is_upper:
            start = self.upper[side.axis]
            stop = min(start + cells, self.cells)
        else:
            stop = self.lower[side.axis]
            start = max(stop - cells, 0)
        return replace(
            self,
            lower=_with(self.lower, side.axis, start),
            upper=_with(self.upper, side.axis, stop),
        )

    def joined(self, other: Extent) -> Extent:
        """Return the block of this one and of one that lies behind a side of it."""
        x, y, z = (min(pair) for pair in zip(self.lower, other.lower, strict=True))
        u, v, w = (max(pair) for pair in zip(self.upper, other.upper, strict=True))
        return replace(self, lower=(x, y, z), upper=(u, v, w))

    def _place(self, corner: Shape) -> tuple[float, float, float]:
        x, y, z = (index * (2 * HALF_SIDE / self.cells) - HALF_SIDE for index in corner)
        return x, y, z


def part_space(box: Reals, surface: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return where a part lies as far as is known: its box and the surface the network was shown.

    Large faces reach out of a box that holds one of their corners.

    Parameters
    ----------
    box : (2, 3) float
        Lowest and highest corner in units of the networks.
    surface : (n, 3 or more) float32
        Coordinates first; may be empty.

    Returns
    -------
    (2, 3) float64
    """
    corners = np.concatenate([np.asarray(box, np.float64), surface[:, :3].astype(np.float64)])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def padded_extent(space: Reals, cells: int) -> tuple[Extent, int]:
    """Return the cells in which a part is looked for first: its space with a margin around it.

    Parameters
    ----------
    space : (2, 3) float
        Lowest and highest corner in units of the networks.
    cells : int
        Along each side of the whole cube.

    Returns
    -------
    Extent
        At least one cell, within the cube.
    int
        The margin in cells.

    Raises
    ------
    ValueError
        The space is not finite or is upside down.
    """
    low, high = np.asarray(space, np.float64)
    if not np.isfinite(space).all() or (high < low).any():
        raise ValueError(f"a space from {low} to {high}")
    cell = 2 * HALF_SIDE / cells
    margin = max(LEAST_MARGIN_CELLS, math.ceil(MARGIN_SHARE * float((high - low).max()) / cell))
    starts = np.floor((low + HALF_SIDE) / cell).astype(int) - margin
    stops = np.ceil((high + HALF_SIDE) / cell).astype(int) + margin
    x, y, z = (int(start) for start in starts.clip(0, cells - 1))
    u, v, w = (int(stop) for stop in np.maximum(stops.clip(1, cells), [x + 1, y + 1, z + 1]))
    return Extent((x, y, z), (u, v, w), cells), margin


def _with(corner: Shape, axis: int, index: int) -> Shape:
    changed = list(corner)
    changed[axis] = index
    x, y, z = changed
    return x, y, z
