"""Moves the vertices of a body between two height fields onto its surface.

Marching cubes takes the surface between two cells for straight. Squared heights bend most around
the sides of a body, and rings as wide as a cell appear there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ROUNDS = 2
MOST_MOVED_CELLS = 0.25

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SquaredHeight:
    """Squared half thickness in square pixels, between the cells a cubic spline.

    Parameters
    ----------
    coefficients : (ny, nx) float64
        Of the spline.
    down, right : (ny, nx) float64
        Slopes per cell.
    """

    coefficients: Values
    down: Values
    right: Values

    @classmethod
    def of(cls, squared: NDArray[np.floating]) -> SquaredHeight:
        """Take the values at the cells, (ny, nx)."""
        values = squared.astype(np.float64)
        down, right = (np.asarray(np.gradient(values, axis=axis)) for axis in (0, 1))
        return cls(ndimage.spline_filter(values), down, right)

    def at(self, places: Values) -> tuple[Values, Values, Values]:
        """Read the value and its slopes down and right at places, (2, n) in cells."""
        value = ndimage.map_coordinates(self.coefficients, places, prefilter=False, mode="nearest")
        down, right = (
            ndimage.map_coordinates(slope, places, order=1, mode="nearest")
            for slope in (self.down, self.right)
        )
        return value, down, right


def settled(cells: Values, front: NDArray[np.floating], back: NDArray[np.floating]) -> Values:
    """Move vertices onto the surface where the squared depth is the squared height.

    Parameters
    ----------
    cells : (n, 3) float64
        Row, column and depth of the vertices in cells; depth 0 is the plane of the outline.
    front, back : (ny, nx) float
        Squared heights at positive and negative depth, in square cells.

    Returns
    -------
    (n, 3) float64
        After two of Newton's steps along the slope, none longer than a quarter of a cell.
    """
    places = cells.copy()
    is_front = cells[:, 2] >= 0
    for part, squared in ((is_front, front), (~is_front, back)):
        field = SquaredHeight.of(squared)
        for _ in range(ROUNDS):
            places[part] += _step(places[part], field)
    return places


def _step(places: Values, field: SquaredHeight) -> Values:
    squared, down, right = field.at(places[:, :2].T)
    slope = np.stack([down, right, -2 * places[:, 2]], axis=1)
    steepness = np.maximum(np.linalg.norm(slope, axis=1), 1e-9)
    length = (places[:, 2] ** 2 - squared) / steepness
    length = np.clip(length, -MOST_MOVED_CELLS, MOST_MOVED_CELLS)
    return np.asarray(slope * (length / steepness)[:, None])
