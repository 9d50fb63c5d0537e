"""What a camera sees of a surface, away from outlines and from steps in the depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import ParallelCamera
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.rasteriser import nearest_depths

SIGHT_PX = 1024  # longest side of what is looked at, whatever the size of the picture
DEPTH_TOLERANCE = 3e-3  # of the unit frame
STEP = 0.03  # of the unit frame: a change of depth from pixel to pixel that is an edge
STEEPEST_DEG = 75.0
_STEEPEST = float(np.cos(np.radians(STEEPEST_DEG)))
_PIXEL_REACH = 0.75  # pixels from a centre to a corner, and a little more


@dataclass(frozen=True)
class Sight:
    """The depth of the nearest surface per pixel.

    Parameters
    ----------
    depths : (h, w) float32
        As the camera gives it; 0 where there is nothing.
    is_usable : (h, w) bool
        Whether there is a surface far enough from outlines and steps.
    pixel_size : float
        In units of the frame.
    rule : PixelRule
    """

    depths: NDArray[np.float32]
    is_usable: NDArray[np.bool_]
    pixel_size: float
    rule: PixelRule

    def sees(
        self, screen: NDArray[np.floating], cosines: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Tell which points are the nearest surface.

        Parameters
        ----------
        screen : (k, 3) float
        cosines : (k,) float
            Between the surface there and the line of sight, above 0: within a pixel, steep
            surfaces go deeper.

        Returns
        -------
        (k,) bool
        """
        height, width = self.depths.shape
        column = np.rint(self.rule.pixels(screen[:, 0], width)).astype(np.int64)
        row = np.rint(self.rule.pixels(screen[:, 1], height)).astype(np.int64)
        seen: NDArray[np.bool_] = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = row[seen] * width + column[seen]
        slopes = np.sqrt(1 / np.square(np.clip(cosines[seen], _STEEPEST, 1)) - 1)
        slack = DEPTH_TOLERANCE + _PIXEL_REACH * self.pixel_size * slopes
        depths = self.depths.reshape(-1)[pixel] + slack
        seen[seen] = self.is_usable.reshape(-1)[pixel] & (screen[seen, 2] <= depths)
        return seen


def look(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    camera: ParallelCamera,
    shape: tuple[int, int],
    erosion_px: int,
    *,
    rule: PixelRule = PixelRule.CENTRED,
    device: str | None = None,
) -> Sight:
    """See which parts of a surface a picture shows well.

    Parameters
    ----------
    vertices : (n, 3) float
        In the frame of the camera.
    faces : (m, 3) int
    camera : ParallelCamera
    shape : (int, int)
        Height and width of the picture, pixels.
    erosion_px : int
        How many pixels of the picture to keep away from outlines and steps; at least 1, so that
        colours can be interpolated.
    rule : PixelRule
    device : str or None
        Where to rasterise; the processor by default.
    """
    scale = SIGHT_PX / max(shape)
    height, width = (max(1, round(side * scale)) for side in shape)
    screen = camera.screen(vertices)
    depths, is_covered = nearest_depths(screen, faces, height, width, rule, device=device)
    pixel_size = 2 * camera.half_width / min(height, width)
    blocked = ~is_covered | _steps(depths, max(STEP, 6 * pixel_size))
    radius = math.ceil(max(1, erosion_px) * scale + 0.5)
    square = np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)
    is_usable = cv2.dilate(blocked.astype(np.uint8), square, borderValue=0) == 0
    return Sight(depths, is_usable, pixel_size, rule)


def _steps(depths: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """Mark both pixels wherever neighbours are at least so far apart in depth."""
    steps = np.zeros(depths.shape, dtype=np.bool_)
    across = np.abs(np.diff(depths, axis=1)) >= least
    down = np.abs(np.diff(depths, axis=0)) >= least
    steps[:, 1:] |= across
    steps[:, :-1] |= across
    steps[1:] |= down
    steps[:-1] |= down
    return steps
