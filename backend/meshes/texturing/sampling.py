"""Colours between the pixels of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8] | NDArray[np.float32]


def sample(
    picture: Picture, columns: NDArray[np.floating], rows: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Interpolate a picture between the four pixels round each place.

    Parameters
    ----------
    picture : (h, w, c) uint8 or float32
    columns, rows : (k,) float
        In pixels; whole numbers are the centres of pixels. Beyond the outermost centres the
        picture goes on as it ends.

    Returns
    -------
    (k, c) float32
        From 0 to 1 for whole-number pictures, else as in the picture.
    """
    height, width, channels = picture.shape
    table = picture.reshape(-1, channels)
    column, right = _split(columns, width)
    row, down = _split(rows, height)
    step_right = np.where(column < width - 1, 1, 0)
    start = row * width + column
    below = start + np.where(row < height - 1, width, 0)
    total: NDArray[np.float32] = table[start] * ((1 - right) * (1 - down))[:, None]
    total += table[start + step_right] * (right * (1 - down))[:, None]
    total += table[below] * ((1 - right) * down)[:, None]
    total += table[below + step_right] * (right * down)[:, None]
    if picture.dtype == np.uint8:
        total /= np.float32(255)
    return total


def _split(
    places: NDArray[np.floating], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the pixel before each place, and how far behind it the place lies."""
    inside = np.clip(places, 0, count - 1)
    whole = np.floor(inside)
    return whole.astype(np.int64), (inside - whole).astype(np.float32)
