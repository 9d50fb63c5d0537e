"""Pictures as arrays: read, scaled, with or without alpha."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.masks import Mask

OPAQUE = 128
MIN_TRANSPARENT_SHARE = 0.005


@dataclass(frozen=True)
class Picture:
    """A picture with alpha.

    Parameters
    ----------
    rgba : (h, w, 4) uint8
        Straight (not premultiplied) alpha.
    """

    rgba: NDArray[np.uint8]

    @classmethod
    def read(cls, path: Path) -> Picture:
        """Read a PNG that the web process has normalised."""
        with Image.open(path) as image:
            return cls(np.asarray(image.convert("RGBA")))

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """Colours, (h, w, 3) uint8."""
        return np.ascontiguousarray(self.rgba[..., :3])

    @property
    def longest_px(self) -> int:
        """Longest side in pixels."""
        return int(max(self.rgba.shape[:2]))

    @property
    def has_alpha(self) -> bool:
        """Whether more than 0.5 % of the pixels are transparent."""
        return bool((self.rgba[..., 3] < OPAQUE).mean() > MIN_TRANSPARENT_SHARE)

    def scaled_to(self, longest_px: int) -> Picture:
        """Scale the longest side to ``longest_px``; hidden colours do not bleed in."""
        factor = longest_px / self.longest_px
        if factor == 1.0:
            return self
        height, width = self.rgba.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        alpha = self.rgba[..., 3:].astype(np.float32) / 255
        if not self.has_alpha:
            return Picture(np.asarray(cv2.resize(self.rgba, size, interpolation=method)))
        weighted = cv2.resize(self.rgba[..., :3] * alpha, size, interpolation=method)
        cover = cv2.resize(alpha, size, interpolation=method)
        colour = weighted / np.maximum(cover, 1e-3)[..., None]
        merged = np.dstack([colour, cover * 255])
        return Picture(np.clip(np.round(merged), 0, 255).astype(np.uint8))


def read_mask(path: Path, shape: tuple[int, int]) -> Mask:
    """Read a painted mask and scale it to ``shape`` (h, w); above 127 is object."""
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L")).astype(np.float32)
    return scale_mask(grey > 127, shape)


def scale_mask(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Scale a mask to ``shape`` (h, w) with a smooth outline."""
    if mask.shape == shape:
        return mask
    shrinking = shape[0] < mask.shape[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    scaled = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=method)
    large: Mask = scaled > 0.5
    return large


def write_mask(mask: Mask, path: Path) -> None:
    """Write a mask as 8-bit grey PNG."""
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, compress_level=1)


def cut_out_of(picture: Picture, mask: Mask) -> NDArray[np.uint8]:
    """Take the object out of a picture.

    Parameters
    ----------
    mask : (h, w) bool
        At any size.

    Returns
    -------
    (h, w, 4) uint8
        In the size of the picture, transparent beside the object.
    """
    alpha = np.where(scale_mask(mask, picture.rgba.shape[:2]), picture.rgba[..., 3], 0)
    if not picture.has_alpha:
        soft = cv2.GaussianBlur((alpha > 0).astype(np.float32), (0, 0), 0.8)
        alpha = np.clip((soft - 0.25) * 2, 0, 1) * 255
    return np.dstack([picture.rgb, alpha.astype(np.uint8)])


def write_cut_out(picture: Picture, mask: Mask, path: Path) -> None:
    """Write the object on a transparent ground, RGBA PNG."""
    Image.fromarray(cut_out_of(picture, mask)).save(path, compress_level=1)
