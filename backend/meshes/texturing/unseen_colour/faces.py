"""Faces that look out of a picture: none is expected on the back of a head."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data
from skimage.feature import Cascade

from backend.meshes.masks import Mask

SCALE_FACTOR, STEP_RATIO = 1.15, 1.0
LEAST_PX, MOST_SHARE = 24, 0.9
WIDTH_SHARE, HEIGHT_SHARE = 0.84, 1.1
"""Of the square that is found, from eyebrows to chin, what the face takes."""


def find_faces(rgb: NDArray[np.uint8]) -> Mask:
    """Find the faces in a small picture.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        Some hundred pixels wide.

    Returns
    -------
    (h, w) bool
        Ellipses around them.

    Source
    ------
    Cascade of local binary patterns of frontal human faces, as scikit-image has it.
    """
    marked = np.zeros(rgb.shape[:2], dtype=np.uint8)
    most_px = round(MOST_SHARE * min(rgb.shape[:2]))
    if most_px <= LEAST_PX:
        return marked > 0
    squares = _detector().detect_multi_scale(
        img=np.ascontiguousarray(rgb),
        scale_factor=SCALE_FACTOR,
        step_ratio=STEP_RATIO,
        min_size=(LEAST_PX, LEAST_PX),
        max_size=(most_px, most_px),
    )
    for square in squares:
        width, height = square["width"], square["height"]
        middle = (square["c"] + width // 2, square["r"] + height // 2)
        axes = (round(WIDTH_SHARE * width / 2), round(HEIGHT_SHARE * height / 2))
        cv2.ellipse(marked, middle, axes, 0.0, 0.0, 360.0, 1, cv2.FILLED)
    return marked > 0


@cache
def _detector() -> Cascade:
    return Cascade(data.lbp_frontal_face_cascade_filename())
