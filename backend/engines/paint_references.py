"""Pictures of the object as networks that paint take them: square, on white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.texture_task import ReferencePicture
from backend.errors import NoForeground
from backend.meshes.picture import cut_out_of
from backend.models.hunyuan3d.picture import on_white, recentred

BORDER_SHARE = 0.2
MOST_PX = 1024  # more than any network looks at


@dataclass(frozen=True)
class PreparedReference:
    """A picture of the object.

    Parameters
    ----------
    rgb : (side, side, 3) uint8
        On white.
    cover : (side, side) uint8
        0 beside the object, 255 where it covers everything.
    """

    rgb: NDArray[np.uint8]
    cover: NDArray[np.uint8]

    def at(self, side_px: int) -> PreparedReference:
        """Scale it."""
        return PreparedReference(_scaled(self.rgb, side_px), _scaled(self.cover, side_px))


def prepared_references(
    references: Sequence[ReferencePicture], border_share: float | None = BORDER_SHARE
) -> list[PreparedReference]:
    """Cut the object out of every picture and put it on a white square.

    Parameters
    ----------
    references : sequence of ReferencePicture
        The front comes first, and stays first.
    border_share : float or None
        Share of the longer side that stays free around the object, which stands in the middle;
        None leaves it as large and where it is, as models of version 2.1 were given it.

    Raises
    ------
    NoForeground
        A picture shows nothing, or only a line.
    """
    prepared = []
    for reference in references:
        picture = reference.picture
        small = picture.scaled_to(min(picture.longest_px, MOST_PX))
        cut_out = cut_out_of(small, reference.mask)
        prepared.append(PreparedReference(*_on_square(cut_out, border_share)))
    return prepared


def _on_square(
    cut_out: NDArray[np.uint8], border_share: float | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if border_share is not None:
        return recentred(cut_out, border_share)
    if not cut_out[..., 3].any():
        raise NoForeground("Every pixel of the picture is transparent.")
    height, width = cut_out.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side, 4), np.uint8)
    square[top : top + height, left : left + width] = cut_out
    return on_white(square)


def _scaled(levels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if side_px < len(levels) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(levels, (side_px, side_px), interpolation=method))
