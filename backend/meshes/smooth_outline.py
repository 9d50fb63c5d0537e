"""A smooth outline behind the pixels of a mask.

An outline read off pixel by pixel is a staircase, and a body built from it has steps. The true
outline crosses between the last pixel inside and the first one outside, half a pixel from their
middle at most. Within this band it is bent straight: some rounds towards the least sum of squared
second differences (Boyd et al., "Distributed Optimization and Statistical Learning via the
Alternating Direction Method of Multipliers", 2011, section 5; the quadratic part is diagonal in
Fourier space, since an outline is closed).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from backend.meshes.masks import Mask

SLACK_PX = 0.5
# Many more rounds make a polygon of a small circle: it leans on the band.
ROUNDS, YIELD = 50, 0.01

Places = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothOutline:
    """Closed lines between inside and outside.

    Parameters
    ----------
    loops : tuple of (n, 2) float64
        Corners of the lines as (row, column) in pixels; a whole number is the middle of a pixel.
    """

    loops: tuple[Places, ...]

    @classmethod
    def of(cls, mask: Mask) -> SmoothOutline:
        """Find the outline of a mask, (h, w) bool with something in it."""
        lines = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
        return cls(tuple(_smoothest(line[:-1] - 1) for line in lines))

    @cached_property
    def starts(self) -> Places:
        """Where the straight pieces start, (m, 2)."""
        return np.concatenate(self.loops)

    @cached_property
    def stops(self) -> Places:
        """Where the straight pieces stop, (m, 2)."""
        return np.concatenate([np.roll(loop, -1, axis=0) for loop in self.loops])

    def crossings(self, rows: Places) -> tuple[NDArray[np.int64], Places]:
        """Find where rows are crossed.

        Parameters
        ----------
        rows : (n,) float64
            Heights in pixels, rising.

        Returns
        -------
        tuple
            Which of the rows, (m,) int64, and the column in pixels, (m,) float64; by row, then
            from left to right. A row has an even number of them.
        """
        low = np.minimum(self.starts[:, 0], self.stops[:, 0])
        high = np.maximum(self.starts[:, 0], self.stops[:, 0])
        first, end = np.searchsorted(rows, low, "left"), np.searchsorted(rows, high, "left")
        pieces = np.repeat(np.arange(len(low)), end - first)
        before = np.cumsum(end - first) - (end - first)
        which = np.arange(len(pieces)) - np.repeat(before - first, end - first)
        start, stop = self.starts[pieces], self.stops[pieces]
        share = (rows[which] - start[:, 0]) / (stop[:, 0] - start[:, 0])
        columns = start[:, 1] + share * (stop[:, 1] - start[:, 1])
        order = np.lexsort((columns, which))
        return which[order], columns[order]

    def inside(self, rows: Places, columns: Places) -> Mask:
        """Tell which places of a grid lie inside, (rows, columns) bool; both rising, in pixels."""
        which, crossed = self.crossings(rows)
        turns = np.zeros((len(rows), len(columns) + 1), dtype=np.int64)
        np.add.at(turns, (which, np.searchsorted(columns, crossed)), 1)
        inside: Mask = np.cumsum(turns, axis=1)[:, :-1] % 2 == 1
        return inside

    def distance(self, rows: Places, columns: Places, reach_px: float) -> Places:
        """Measure the distance to the outline in pixels, positive inside, (rows, columns).

        Parameters
        ----------
        rows, columns : (n,) float64
            A grid of even spacing, in pixels, rising.
        reach_px : float
            Exact so far from the outline; beyond it good to a cell of the grid.
        """
        inside = self.inside(rows, columns)
        cell_px = rows[1] - rows[0]
        edge = np.pad(inside, 1)  # where the grid ends, the object does
        cells = ndimage.distance_transform_edt(edge) + ndimage.distance_transform_edt(~edge)
        far: Places = cell_px * cells[1:-1, 1:-1]
        near = far <= reach_px + cell_px
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)[near]
        far[near] = self._nearest(places)
        return np.asarray(np.where(inside, far, -far))

    def _nearest(self, places: Places) -> Places:
        """Measure the distance of places, (n, 2), to the pieces beside the nearest corner."""
        _, nearest = self._corners.query(places)
        found: Places = np.full(len(places), np.inf)
        for piece in (nearest, self._before[nearest]):
            start, along = self.starts[piece], self.stops[piece] - self.starts[piece]
            length = np.maximum(np.einsum("ij,ij->i", along, along), 1e-12)
            share = np.einsum("ij,ij->i", places - start, along) / length
            foot = start + np.clip(share, 0, 1)[:, None] * along
            found = np.minimum(found, np.linalg.norm(places - foot, axis=1))
        return found

    @cached_property
    def _corners(self) -> cKDTree:
        return cKDTree(self.starts)

    @cached_property
    def _before(self) -> NDArray[np.int64]:
        """Which piece stops where each one starts, (m,)."""
        first = np.cumsum([0, *(len(loop) for loop in self.loops)])
        pieces = (np.roll(np.arange(a, b), 1) for a, b in itertools.pairwise(first))
        return np.concatenate(list(pieces))


def _smoothest(line: Places) -> Places:
    """Move the corners of a closed line, (n, 2), within the slack so that it bends less."""
    middle = line[:, 0] + 1j * line[:, 1]
    waves = 2 - 2 * np.cos(2 * np.pi * fft.fftfreq(len(line)))
    passes = YIELD / (waves**2 + YIELD)
    kept, push = middle, np.zeros_like(middle)
    for _ in range(ROUNDS):
        smooth = fft.ifft(passes * fft.fft(kept - push))
        kept = _within_slack(smooth + push, middle)
        push += smooth - kept
    found = _within_slack(smooth, middle)
    return np.stack([found.real, found.imag], axis=1)


def _within_slack(
    moved: NDArray[np.complex128], middle: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    by = moved - middle
    kept = np.clip(by.real, -SLACK_PX, SLACK_PX) + 1j * np.clip(by.imag, -SLACK_PX, SLACK_PX)
    return np.asarray(middle + kept)
