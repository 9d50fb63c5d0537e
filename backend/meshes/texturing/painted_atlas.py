"""An atlas painted band by band, so that only its colours need be held as a whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.gutters import fill_gutters
from backend.meshes.texturing.texel_map import TexelBands, TexelMap


def painted_atlas(
    bands: TexelBands, colour: Callable[[TexelMap], NDArray[np.float32]]
) -> NDArray[np.uint8]:
    """Colour all texels of an atlas and what lies between its charts.

    Parameters
    ----------
    bands : TexelBands
    colour : callable
        Gives texels their colours, (k, 3) float32 from 0 to 1; called by several threads.

    Returns
    -------
    (size, size, 3) uint8
        Without any texel: black.
    """
    picture = np.zeros((bands.size, bands.size, 3), dtype=np.uint8)
    covered = np.zeros((bands.size, bands.size), dtype=np.bool_)

    def paint(start: int) -> None:
        texels = bands.band(start)
        levels = np.rint(np.clip(colour(texels), 0, 1) * np.float32(255))
        picture[texels.rows, texels.columns] = levels.astype(np.uint8)
        covered[texels.rows, texels.columns] = True

    with ThreadPoolExecutor(cv2.getNumThreads(), thread_name_prefix="atlas") as pool:
        list(pool.map(paint, bands.starts))
    fill_gutters(picture, covered)
    return picture
