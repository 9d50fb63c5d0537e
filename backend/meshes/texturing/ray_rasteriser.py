"""The rasteriser of the processor: one ray of embree through each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.texturing.face_ties import VertexFaces, settle_depths, settle_ties
from backend.meshes.texturing.fragments import Fragments
from backend.meshes.texturing.parallel_rays import ParallelRays
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.screen_faces import INSIDE, ScreenFaces, barycentric, least

RAYS_PER_CHUNK = 1 << 20
_NUDGE = 5e-7  # of the screen: a few steps of single precision
_NUDGES = ((-_NUDGE, -_NUDGE), (_NUDGE, -_NUDGE), (-_NUDGE, _NUDGE), (_NUDGE, _NUDGE))


def rasterise(faces: ScreenFaces, height: int, width: int, rule: PixelRule) -> Fragments:
    """Find the nearest face on each pixel.

    Parameters
    ----------
    faces : ScreenFaces
    height, width : int
        Pixels.
    rule : PixelRule
    """
    ids = np.zeros(height * width, dtype=np.int32)
    weights = np.zeros((height * width, 3), dtype=np.float32)
    if len(faces):
        x, y = rule.centres(width), rule.centres(height)
        rays = ParallelRays(faces)
        found = _nearest_faces(faces, rays, x, y).reshape(-1)
        around = VertexFaces(faces.vertices)
        covered = np.flatnonzero(found >= 0)
        for pixels in _chunks(covered):
            points = np.stack([x[pixels % width], y[pixels // width]], axis=1)
            settled, inside = settle_ties(faces, around, points, found[pixels])
            if faces.depths is not None:
                settle_depths(faces, rays, points, settled, inside)
            ids[pixels] = faces.numbers[settled] + 1
            weights[pixels] = inside
    return Fragments(ids.reshape(height, width), weights.reshape(height, width, 3))


def _chunks(pixels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    bounds = [*range(0, len(pixels), RAYS_PER_CHUNK), len(pixels)]
    return [pixels[start:stop] for start, stop in pairwise(bounds)]


def nearest_depths(
    faces: ScreenFaces, height: int, width: int, rule: PixelRule
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the depth of the nearest face on each pixel.

    Returns
    -------
    depths : (h, w) float32
        0 where there is no face.
    is_covered : (h, w) bool
    """
    depths = np.zeros((height, width), dtype=np.float32)
    is_covered = np.zeros((height, width), dtype=np.bool_)
    if len(faces):
        rays = ParallelRays(faces)
        for block, points in _blocks(faces, rule.centres(width), rule.centres(height)):
            met, deep = rays.first_depths(points.reshape(-1, 2))
            is_covered[block] = met.reshape(points.shape[:2])
            depths[block] = deep.reshape(points.shape[:2])
    return depths, is_covered


def _nearest_faces(
    faces: ScreenFaces, rays: ParallelRays, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Return the position of a nearest face for each pixel of a grid, -1 for none, (h, w)."""
    found = np.full((len(y), len(x)), -1, dtype=np.int32)
    for block, points in _blocks(faces, x, y):
        found[block] = rays.first_hits(points.reshape(-1, 2)).reshape(points.shape[:2])
    _mend_rim(faces, rays, found, x, y)
    return found


def _blocks(
    faces: ScreenFaces, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float64]]]:
    """Yield parts of the grid that faces may cover, and their points, (rows, columns, 2)."""
    rows, columns = _crossed(y, faces.corners[..., 1]), _crossed(x, faces.corners[..., 0])
    lines = max(1, RAYS_PER_CHUNK // max(1, columns.stop - columns.start))
    for start in range(rows.start, rows.stop, lines):
        block = slice(start, min(start + lines, rows.stop))
        yield (block, columns), np.stack(np.meshgrid(x[columns], y[block]), axis=-1)


def _crossed(centres: NDArray[np.float64], places: NDArray[np.float64]) -> slice:
    """Return the lines of pixels that the places may lie on."""
    low, high = np.searchsorted(centres, [places.min() - 1e-6, places.max() + 1e-6])
    return slice(int(low), int(high))


def _mend_rim(
    faces: ScreenFaces,
    rays: ParallelRays,
    found: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> None:
    """Find faces whose edges pass exactly through pixels where single precision missed them."""
    hit = found >= 0
    rim = ndimage.binary_dilation(hit, np.ones((3, 3), dtype=np.bool_)) & ~hit
    rows, columns = np.nonzero(rim)
    for nudge in _NUDGES:
        points = np.stack([x[columns], y[rows]], axis=1)
        near = rays.first_hits(points + nudge)
        touched = np.flatnonzero(near >= 0)
        weights, _ = barycentric(faces.corners[near[touched]], points[touched])
        touched = touched[least(weights) >= -INSIDE]
        found[rows[touched], columns[touched]] = near[touched]
