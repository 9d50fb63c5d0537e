"""Pictures of bytes as networks take and give them. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def shares(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return pictures of one size, (h, w, 3) each, as (pictures, 3, h, w) float32 from 0 to 1."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.float() / 255


def signed(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return pictures as ``shares`` does, from -1 to 1."""
    return 2 * shares(pictures) - 1


def levels(picture: Tensor) -> NDArray[np.uint8]:
    """Return one picture, (1, 3, h, w) from 0 to 1 or beyond, as (h, w, 3) uint8."""
    rounded = (picture[0].float().clamp(0, 1) * 255).round().byte()
    return rounded.permute(1, 2, 0).contiguous().cpu().numpy()
