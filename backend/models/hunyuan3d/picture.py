"""From a cut-out picture to what the conditioner looks at: centred, on white, of one size.

The exact way of the original, down to its roundings, as the networks were trained on it. The
colours of half transparent pixels are scaled as they are, without regard to how much they cover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.errors import NoForeground

SIZE_PX = 512
BORDER_RATIO = 0.15
_ROWS_AT_ONCE = 256


class View(StrEnum):
    """From where a picture was taken, in the order in which the networks know them."""

    FRONT = "front"
    LEFT = "left"
    BACK = "back"
    RIGHT = "right"

    @property
    def place(self) -> int:
        """Where it stands in that order, from 0."""
        return tuple(View).index(self)


@dataclass(frozen=True)
class PreparedPicture:
    """A picture for the conditioner.

    Parameters
    ----------
    pixels : (3, size, size) float32
        Red, green, blue from -1 to 1.
    mask : (1, size, size) float32
        1 on the object, -1 beside it. No network of the family looks at it.
    """

    pixels: NDArray[np.float32]
    mask: NDArray[np.float32]


def prepared_picture(
    rgba: NDArray[np.uint8], *, size_px: int = SIZE_PX, border_ratio: float = BORDER_RATIO
) -> PreparedPicture:
    """Centre an object on a white square.

    Parameters
    ----------
    rgba : (h, w, 4) or (h, w, 3) uint8
        Without an alpha channel everything is the object.
    size_px : int
        Side of the result.
    border_ratio : float
        Share of the longer side of the picture that stays free around the object.

    Raises
    ------
    NoForeground
        There is no object, or it is only a line.
    """
    rgb, mask = recentred(rgba, border_ratio)
    side = (size_px, size_px)
    rgb = cv2.resize(rgb, side, interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(mask, side, interpolation=cv2.INTER_NEAREST)
    return PreparedPicture(_signed(rgb.transpose(2, 0, 1)), _signed(mask[None]))


def prepared_views(
    pictures: Mapping[View, NDArray[np.uint8]],
    *,
    size_px: int = SIZE_PX,
    border_ratio: float = BORDER_RATIO,
) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Centre the object in each of several views.

    Returns
    -------
    pixels : (views, 3, size, size) float32
        From -1 to 1, in the order of ``View``.
    places : tuple of int
        The place of each.

    Raises
    ------
    NoForeground
        A view shows nothing; the detail names it.
    ValueError
        There is no picture at all.
    """
    if not pictures:
        raise ValueError("no view is given")
    order = [view for view in View if view in pictures]
    pixels = [_prepared_view(view, pictures[view], size_px, border_ratio) for view in order]
    return np.stack(pixels), tuple(view.place for view in order)


def _prepared_view(
    view: View, rgba: NDArray[np.uint8], size_px: int, border_ratio: float
) -> NDArray[np.float32]:
    try:
        return prepared_picture(rgba, size_px=size_px, border_ratio=border_ratio).pixels
    except NoForeground as error:
        raise NoForeground(f"{view.capitalize()} view: {error.detail}") from None


def recentred(
    rgba: NDArray[np.uint8], border_ratio: float = BORDER_RATIO
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put an object in the middle of a white square as large as the longer side.

    Returns
    -------
    rgb : (side, side, 3) uint8
    mask : (side, side) uint8
        0 beside the object, 255 where it covers everything.

    Raises
    ------
    NoForeground
        There is no object, or it is only a line.
    """
    rgba = _with_alpha(rgba)
    cut_out = _cut_out(rgba)
    side = max(rgba.shape[:2])
    scale = int(side * (1 - border_ratio)) / max(cut_out.shape[:2])
    height, width = (int(length * scale) for length in cut_out.shape[:2])
    if height == 0 or width == 0:
        raise NoForeground("The object in the picture is only a line.")
    top, left = (side - height) // 2, (side - width) // 2
    canvas = np.zeros((side, side, 4), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(
        cut_out, (width, height), interpolation=cv2.INTER_AREA
    )
    return on_white(canvas)


def on_white(canvas: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lay a picture, (h, w, 4) uint8, on white.

    Returns
    -------
    rgb : (h, w, 3) uint8
    mask : (h, w) uint8
        How much it covers.
    """
    # Some rows at a time: it takes 40 bytes for a pixel.
    rgb, mask = np.zeros_like(canvas[..., :3]), np.zeros_like(canvas[..., 3])
    for top in range(0, len(canvas), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        cover = canvas[rows, :, 3:].astype(np.float32) / 255
        rgb[rows] = (canvas[rows, :, :3] * cover + 255 * (1 - cover)).clip(0, 255)
        mask[rows] = cover[..., 0] * 255
    return rgb, mask


def _with_alpha(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add a channel that says that everything is the object if there is none."""
    if picture.ndim != 3 or picture.shape[2] not in {3, 4} or picture.dtype != np.uint8:
        raise ValueError(f"{picture.dtype} of shape {picture.shape} is no RGBA picture")
    if picture.shape[2] == 4:
        return picture
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _cut_out(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the box around the object but for its last row and column, as the original does."""
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise NoForeground("Every pixel of the picture is transparent.")
    box = rgba[rows[0] : rows[-1], columns[0] : columns[-1]]
    if not box.size:
        raise NoForeground("The object in the picture is only a line.")
    return box


def _signed(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """From 0..255 to -1..1."""
    return np.ascontiguousarray(levels, np.float32) / np.float32(255) * 2 - 1
