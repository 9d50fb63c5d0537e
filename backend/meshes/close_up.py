"""A small object is enlarged before it is built, so that its pixels do not become steps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask, bounds, disc, keep_long, longest_side
from backend.meshes.triangle_mesh import TriangleMesh

PIXELS_PER_CELL = 2.0
LEAST_FACTOR, MOST_FACTOR = 1.5, 24.0
MARGIN_PX = 3
SMOOTH_PX, STRAND_SMOOTH_PX = 1.3, 0.6
STRAND_LENGTH_PX = 4


@dataclass(frozen=True)
class CloseUp:
    """A part of a picture, enlarged.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) bool
    left, top : int
        Where the part begins in the picture, in its pixels.
    factor : float
        How many times larger it is.
    """

    rgb: NDArray[np.uint8]
    mask: Mask
    left: int = 0
    top: int = 0
    factor: float = 1.0

    def back_in_place(self, mesh: TriangleMesh) -> TriangleMesh:
        """Move a mesh in pixels of the close-up to pixels of the picture."""
        vertices = mesh.vertices.astype(np.float64)
        vertices[:, :2] = (vertices[:, :2] + 0.5) / self.factor - 0.5 + (self.left, self.top)
        vertices[:, 2] /= self.factor
        return mesh.with_vertices(vertices)


def close_up(rgb: NDArray[np.uint8], mask: Mask, resolution: int) -> CloseUp:
    """Enlarge the object until it has two pixels per cell of the grid; large ones stay.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) bool
    resolution : int
        Grid cells along the object's longest side.
    """
    size = longest_side(mask)
    factor = min(MOST_FACTOR, PIXELS_PER_CELL * resolution / size) if size else 1.0
    if factor < LEAST_FACTOR:
        return CloseUp(rgb, mask)
    top, bottom, left, right = bounds(mask)
    top, left = max(0, top - MARGIN_PX), max(0, left - MARGIN_PX)
    part = slice(top, bottom + MARGIN_PX), slice(left, right + MARGIN_PX)
    factor = max(1.0, float(np.floor(factor)))  # whole pixels keep the scale exact
    large = _enlarged(mask[part], factor)
    colours = cv2.resize(rgb[part], None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    if factor == 1.0 or not large.any():
        return CloseUp(rgb, mask)
    return CloseUp(np.asarray(colours, dtype=np.uint8), large, left, top, factor)


def _enlarged(mask: Mask, factor: float) -> Mask:
    """Round the steps off, but keep strands of one pixel, which so much smoothing would erase."""
    strands = keep_long(mask & ~ndimage.binary_opening(mask, disc(1)), STRAND_LENGTH_PX)
    body = _blown_up(mask, factor, SMOOTH_PX)
    return body | _blown_up(strands, factor, STRAND_SMOOTH_PX) if strands.any() else body


def _blown_up(mask: Mask, factor: float, smooth_px: float) -> Mask:
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), smooth_px)
    large = cv2.resize(soft, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large > 0.5, dtype=np.bool_)
