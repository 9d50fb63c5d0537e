"""The object in a picture, cut out and made smaller."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.masks import Mask, bounds

LEAST_PX = 8

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PictureCrop:
    """Where the object lies in the picture, and how large it is when small.

    Parameters
    ----------
    top, left : int
        Where it begins.
    size : tuple of int
        Its rows and columns in the picture.
    shape : tuple of int
        Its rows and columns when small.
    """

    top: int
    left: int
    size: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, core: Mask, most_px: int) -> PictureCrop:
        """Cut out what is in a mask, (h, w) bool, not empty, at most so many pixels long."""
        top, bottom, left, right = bounds(core)
        rows, columns = bottom - top, right - left
        factor = min(1.0, most_px / max(rows, columns))
        shape = (max(LEAST_PX, round(rows * factor)), max(LEAST_PX, round(columns * factor)))
        return cls(top, left, (rows, columns), shape)

    def small(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Make an image of the picture's size small."""
        part = image[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]
        size = self.shape[::-1]
        return np.asarray(cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA))

    def in_picture(self, small: Mask, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Enlarge a small mask to a picture of a shape; beside it goes on what is at its border."""
        size = self.size[::-1]
        part = cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        below, right = shape[0] - self.top - self.size[0], shape[1] - self.left - self.size[1]
        return np.pad(part, ((self.top, below), (self.left, right)), mode="edge")

    def pixels(self) -> Values:
        """Where the middles of the small pixels lie in the picture, x and y, (n, 2)."""
        rows, columns = np.indices(self.shape).reshape(2, -1)
        corner = (self.left, self.top)
        middles = np.stack([columns, rows], axis=1) + 0.5
        return np.asarray(middles * self._step - 0.5 + corner)

    def places(self, pixels: Values) -> Values:
        """Where pixels of the picture lie in the small one, x and y, (n, 2)."""
        return np.asarray((pixels + 0.5 - (self.left, self.top)) / self._step - 0.5)

    @property
    def _step(self) -> Values:
        return np.asarray(np.array(self.size[::-1]) / np.array(self.shape[::-1]))
