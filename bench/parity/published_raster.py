"""How the published programs rasterise: pixels aligned at corners, and coarse steps of depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.fragments import Fragments
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.screen_faces import PUBLISHED_DEPTHS

RULE = PixelRule.CORNER_ALIGNED
NEAR, FAR = 0.1, 100.0


def published_fragments(
    screen: NDArray[np.floating], faces: NDArray[np.integer], side_px: int
) -> Fragments:
    """Find the nearest face on each pixel; of faces in one step of the depth the first.

    Parameters
    ----------
    screen : (n, 3) float
        As a camera gives it.
    faces : (m, 3) int
    side_px : int
    """
    return rasterise(screen, faces, side_px, side_px, RULE, depths=PUBLISHED_DEPTHS)
