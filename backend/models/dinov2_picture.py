"""Prepares pictures for a DINOv2 that is published on its own. Imports torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.models.dinov2 import COLOUR_MEAN, COLOUR_STD, CROP_PX

SHORTER_SIDE_PX = 256


def dinov2_pixels(picture: NDArray[np.uint8]) -> Tensor:
    """Scale the shorter side, cut out the middle, and normalise colours.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        Red, green, blue.

    Returns
    -------
    Tensor, shape (1, 3, 224, 224), float32

    Source
    ------
    The processor that is published with facebook/dinov2-giant.
    """
    height, width = picture.shape[:2]
    shorter = min(height, width)
    size = (SHORTER_SIDE_PX * width // shorter, SHORTER_SIDE_PX * height // shorter)
    scaled = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    top, left = (scaled.shape[0] - CROP_PX) // 2, (scaled.shape[1] - CROP_PX) // 2
    cut = scaled[top : top + CROP_PX, left : left + CROP_PX]
    colours = torch.from_numpy(cut.astype(np.float32) / 255).permute(2, 0, 1)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (COLOUR_MEAN, COLOUR_STD))
    return ((colours - mean) / std).unsqueeze(0)
