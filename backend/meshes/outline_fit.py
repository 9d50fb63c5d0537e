"""Lays a picture over a mesh: the outline of its object over the outline of the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.frame import PictureFrame
from backend.meshes.masks import Mask, bounds, iou
from backend.meshes.render import covered_pixels
from backend.meshes.triangle_mesh import TriangleMesh

DRAWN_PX = 512
EDGE_PX = 8
MOST_ROUNDS = 40
FIRST_STEP, LAST_STEP = 0.08, 0.001  # of the size, and of the longest side of the object


@dataclass(frozen=True)
class OutlineFit:
    """Where a picture stands in a mesh, and how well it does.

    Parameters
    ----------
    frame : PictureFrame
        From the mesh to the pixels of the mask.
    overlap : float
        Of both outlines: intersection over union.
    """

    frame: PictureFrame
    overlap: float


@dataclass(frozen=True)
class _Outline:
    """The mesh as it is seen along -Z.

    Parameters
    ----------
    pixels : (h, w) float32
        1 where it is.
    frame : PictureFrame
        From the mesh to these pixels.
    """

    pixels: NDArray[np.float32]
    frame: PictureFrame

    @classmethod
    def of(cls, mesh: TriangleMesh) -> _Outline:
        low, high = mesh.vertices[:, :2].min(axis=0), mesh.vertices[:, :2].max(axis=0)
        width, height = (float(side) for side in high - low)
        per_px = max(width, height) / DRAWN_PX
        frame = PictureFrame(
            EDGE_PX - float(low[0]) / per_px, EDGE_PX + float(high[1]) / per_px, per_px
        )
        size = [round(side / per_px) + 2 * EDGE_PX + 1 for side in (height, width)]
        return cls(covered_pixels(mesh, frame, (size[0], size[1])).astype(np.float32), frame)

    def drawn(self, frame: PictureFrame, shape: tuple[int, ...]) -> Mask:
        """Draw it into a picture, (h, w) bool."""
        scale = self.frame.metres_per_px / frame.metres_per_px
        moved = np.array(
            [
                [scale, 0.0, frame.centre_x_px - scale * self.frame.centre_x_px],
                [0.0, scale, frame.bottom_y_px - scale * self.frame.bottom_y_px],
            ]
        )
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        found: Mask = cv2.warpAffine(self.pixels, moved, shape[::-1], flags=method) > 0.5
        return found


def fit_outline(mesh: TriangleMesh, mask: Mask) -> OutlineFit:
    """Find the frame in which the outline of a mesh covers the object of a picture best.

    Parameters
    ----------
    mesh : TriangleMesh
        Turned so that the side that the picture shows faces +Z.
    mask : (h, w) bool
        The object; not empty.

    Returns
    -------
    OutlineFit

    Notes
    -----
    The middles of both boxes are laid over each other at the widths, the heights or the mean of
    both, whichever covers best; then place and size are searched around in ever smaller steps.
    """
    outline = _Outline.of(mesh)
    fits = [_judged(outline, frame, mask) for frame in _by_boxes(mesh, mask)]
    best = max(fits, key=lambda fit: fit.overlap)
    step = FIRST_STEP
    for _ in range(MOST_ROUNDS):
        better = _searched_around(outline, best, mask, step)
        if better is best:
            step /= 2
        best = better
        if step < LAST_STEP:
            break
    return best


def turned_to_front(mesh: TriangleMesh, azimuth_deg: float) -> TriangleMesh:
    """Turn a mesh about the vertical until the side at an azimuth (90 is +X) faces +Z."""
    angle = np.radians(azimuth_deg)
    cos, sin = round(float(np.cos(angle)), 12), round(float(np.sin(angle)), 12)
    x, y, z = mesh.vertices.astype(np.float64).T
    return mesh.with_vertices(np.stack([x * cos - z * sin, y, x * sin + z * cos], axis=1))


def _by_boxes(mesh: TriangleMesh, mask: Mask) -> list[PictureFrame]:
    top, bottom, left, right = bounds(mask)
    low, high = mesh.vertices[:, :2].min(axis=0), mesh.vertices[:, :2].max(axis=0)
    width, height = (float(side) for side in high - low)
    fits = [(width, right - left), (height, bottom - top)]
    scales = [size / pixels for size, pixels in fits if size > 0]
    scales.append(float(np.exp(np.mean(np.log(scales)))))
    middle_x, middle_y = (float(value) for value in (low + high) / 2)
    # Pixels are counted by their centres: the first starts half a pixel before its own.
    column, row = (left + right - 1) / 2, (top + bottom - 1) / 2
    return [
        PictureFrame(column - middle_x / scale, row + middle_y / scale, scale) for scale in scales
    ]


def _searched_around(outline: _Outline, fit: OutlineFit, mask: Mask, step: float) -> OutlineFit:
    """Try larger, smaller and moved frames; returns the best, which may be the one given."""
    top, bottom, left, right = bounds(mask)
    shift = step * max(bottom - top, right - left)
    centre = (left + right - 1) / 2, (top + bottom - 1) / 2
    tried = [_moved(fit.frame, x, y) for x, y in ((shift, 0), (-shift, 0), (0, shift), (0, -shift))]
    tried += [_resized(fit.frame, 1 + sign * step, centre) for sign in (1, -1)]
    best = max((_judged(outline, frame, mask) for frame in tried), key=lambda one: one.overlap)
    return best if best.overlap > fit.overlap else fit


def _judged(outline: _Outline, frame: PictureFrame, mask: Mask) -> OutlineFit:
    return OutlineFit(frame, iou(outline.drawn(frame, mask.shape), mask))


def _moved(frame: PictureFrame, x_px: float, y_px: float) -> PictureFrame:
    return PictureFrame(frame.centre_x_px + x_px, frame.bottom_y_px + y_px, frame.metres_per_px)


def _resized(frame: PictureFrame, factor: float, centre: tuple[Any, Any]) -> PictureFrame:
    """Enlarge the mesh in the picture about a pixel."""
    x, y = centre
    return PictureFrame(
        x + (frame.centre_x_px - x) * factor,
        y + (frame.bottom_y_px - y) * factor,
        frame.metres_per_px / factor,
    )
