"""How thick the object is behind each pixel, guessed from its outline.

All functions take an (h, w) bool mask and return the half thickness in pixels, (h, w) float64,
zero outside. Source of the mix: the mean of two squared heights, the solution of Poisson's
equation and the union of the balls on the medial axis.
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.linalg import spsolve
from skimage.morphology import medial_axis

from backend.meshes.masks import Mask, bounds
from backend.meshes.smooth_outline import SmoothOutline

Height = NDArray[np.float64]

SOLVE_PX = 176
MIX_SCALE = 0.85
BALL_BLUR_PX = 2.0
SLAB_DEPTH = 0.25
RIM_PX = 1.5
LEAST_SQUARED = 0.2


def inflated(mask: Mask) -> Height:
    """Round thickness: solved at up to 176 px, then the height (not its square) is enlarged."""
    top, bottom, left, right = bounds(mask)
    crop = np.pad(mask[top:bottom, left:right], 2)
    factor = max(1.0, (max(crop.shape) - 4) / SOLVE_PX)
    small = _shrunk(crop, factor)
    squared = 0.5 * poisson_squared(small) + 0.5 * medial_balls_squared(small)
    low = MIX_SCALE * np.sqrt(squared) * factor
    size = (crop.shape[1], crop.shape[0])
    large = cv2.resize(low.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    height = np.zeros(mask.shape)
    height[top:bottom, left:right] = large[2:-2, 2:-2]
    rim = np.sqrt(0.5) * np.minimum(ndimage.distance_transform_edt(mask), RIM_PX)
    return np.where(mask, np.maximum(height, rim), 0.0)


def lathed(mask: Mask) -> Height:
    """Turned thickness: every run of a row, between two edges of the outline, is a circle."""
    outline = SmoothOutline.of(mask)
    columns = np.arange(mask.shape[1])
    squared = np.zeros(mask.shape)
    rows, edges = outline.crossings(np.arange(mask.shape[0], dtype=np.float64))
    for row, start, stop in zip(rows[::2], edges[::2], edges[1::2], strict=True):
        np.maximum(squared[row], (columns - start) * (stop - columns), out=squared[row])
    return np.where(mask, np.sqrt(np.maximum(squared, LEAST_SQUARED)), 0.0)


def slab(mask: Mask, aspect: float) -> Height:
    """Constant thickness of a flat thing; ``aspect`` is its short side over its long side."""
    depth = SLAB_DEPTH * np.sqrt(np.count_nonzero(mask)) * min(1.0, aspect + 0.2)
    return np.where(mask, depth, 0.0)


def poisson_squared(mask: Mask) -> Height:
    """Solve Laplace u = -4 with u = 0 outside: u is the squared half thickness of a cylinder."""
    count = int(np.count_nonzero(mask))
    index = np.full((mask.shape[0] + 2, mask.shape[1] + 2), -1)
    index[1:-1, 1:-1][mask] = np.arange(count)
    own = index[1:-1, 1:-1]
    rows, columns = [], []
    for neighbour in (index[:-2, 1:-1], index[2:, 1:-1], index[1:-1, :-2], index[1:-1, 2:]):
        pair = (own >= 0) & (neighbour >= 0)
        rows.append(own[pair])
        columns.append(neighbour[pair])
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = sparse.coo_matrix((np.ones(len(row)), (row, column)), (count, count))
    matrix = (sparse.identity(count) * 4.0 - links).tocsc()
    squared = np.zeros(mask.shape)
    squared[mask] = np.atleast_1d(spsolve(matrix, np.full(count, 4.0)))
    return np.maximum(squared, 0.0)


def medial_balls_squared(mask: Mask) -> Height:
    """Union of the balls whose centres are the medial axis; squared height, slightly blurred."""
    distance = ndimage.distance_transform_edt(mask)
    squared = np.zeros(mask.shape)
    for y, x in np.argwhere(medial_axis(mask, rng=0)):
        radius = distance[y, x]
        reach = int(np.ceil(radius))
        rows = slice(max(0, y - reach), y + reach + 1)
        columns = slice(max(0, x - reach), x + reach + 1)
        down = np.arange(rows.start, min(rows.stop, mask.shape[0]))[:, None] - y
        along = np.arange(columns.start, min(columns.stop, mask.shape[1]))[None] - x
        ball = radius**2 - down**2 - along**2
        np.maximum(squared[rows, columns], ball, out=squared[rows, columns])
    return (
        ndimage.gaussian_filter(np.where(mask, np.maximum(squared, 0.25), 0), BALL_BLUR_PX) * mask
    )


def _shrunk(mask: Mask, factor: float) -> Mask:
    if factor <= 1.2:
        return mask
    size = [max(6, round(side / factor)) for side in mask.shape]
    area = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    small: Mask = area > 0.4
    return small if small.any() else area >= area.max()
