"""Colours of vertices between glTF, which counts light, and sRGB, which counts steps seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_srgb(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn linear colours into sRGB.

    Parameters
    ----------
    linear : (n, 3 or 4) float64
        From 0 to 1; without the fourth, opaque.

    Returns
    -------
    (n, 4) uint8

    Source
    ------
    IEC 61966-2-1.
    """
    light = np.clip(np.nan_to_num(linear[:, :3]), 0, 1)
    seen = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    colors = np.full((len(linear), 4), 255, dtype=np.uint8)
    colors[:, :3] = np.rint(seen * 255)
    if linear.shape[1] == 4:
        colors[:, 3] = np.rint(np.clip(np.nan_to_num(linear[:, 3]), 0, 1) * 255)
    return colors


def to_linear(colors: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Turn sRGB colours, (n, 4) uint8, into linear ones, (n, 4) uint16 from 0 to 65535.

    ``to_srgb`` gives exactly the same back.
    """
    seen = np.arange(256) / 255
    light = np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4)
    table = np.rint(light * 65535).astype(np.uint16)
    linear: NDArray[np.uint16] = table[colors]
    linear[:, 3] = colors[:, 3].astype(np.uint16) * 257
    return linear
