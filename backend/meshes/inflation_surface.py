"""A closed surface around an outline of given thickness.

The surface is where F(x, y, z) = h(x, y)^2 - z^2 changes sign; near the outline and outside it,
h^2 is a slope times the distance to the outline. It is read off with marching cubes, closed and
manifold by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from backend.errors import NoSurfaceFound
from backend.meshes.exact_vertices import settled
from backend.meshes.masks import Mask, bounds
from backend.meshes.smooth_outline import SmoothOutline
from backend.meshes.triangle_mesh import TriangleMesh

PAD_CELLS = 3
RIM_SHARE = 0.012
LEAST_LIFT = 0.3
SLAB_EDGE = 0.12
RELIEF = 0.012
RELIEF_LIMIT = 0.35
RELIEF_FADE = 0.03

Grid = NDArray[np.float32]


@dataclass(frozen=True)
class Outline:
    """An outline sampled on the grid of the surface.

    Parameters
    ----------
    distance : (ny, nx) float32
        Signed distance to the outline in pixels, positive inside.
    height : (ny, nx) float32
        Half thickness in pixels.
    relief : (ny, nx) float32
        Bumps of the front in pixels.
    cell_px : float
        Side of a cell.
    origin : tuple of float
        Pixel position (x, y) of the first cell.
    size_px : int
        Longest side of the outline.
    """

    distance: Grid
    height: Grid
    relief: Grid
    cell_px: float
    origin: tuple[float, float]
    size_px: int


def sample_outline(
    mask: Mask, height: NDArray[np.float64], relief: NDArray[np.float32], resolution: int
) -> Outline:
    """Sample mask, height and relief on a grid of ``resolution`` cells on the long side.

    Raises
    ------
    NoSurfaceFound
        The mask is empty.
    """
    if not mask.any():
        raise NoSurfaceFound("The mask is empty.")
    top, bottom, left, right = bounds(mask)
    size_px = max(bottom - top, right - left)
    cell = size_px / resolution
    y = np.arange(top - PAD_CELLS * cell, bottom + PAD_CELLS * cell, cell)
    x = np.arange(left - PAD_CELLS * cell, right + PAD_CELLS * cell, cell)
    where = np.meshgrid(y, x, indexing="ij")
    thickness, bumps = (
        ndimage.map_coordinates(field, where, order=1, mode="nearest").astype(np.float32)
        for field in (_smooth_inside(height), relief)
    )
    distance = SmoothOutline.of(mask).distance(y, x, 2 * rim_px(size_px, cell))
    origin = (float(x[0]), float(y[0]))
    return Outline(distance.astype(np.float32), thickness, bumps, cell, origin, size_px)


def rim_px(size_px: int, cell_px: float) -> float:
    """How near to the outline a height is not trusted."""
    return max(RIM_SHARE * size_px, cell_px)


def luminance_relief(rgb: NDArray[np.uint8], mask: Mask, size_px: int) -> NDArray[np.float32]:
    """Bumps from the picture: band-passed luminance, 1.2 % of the size, faded near the rim."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    inside = mask.astype(np.float32)
    weight = ndimage.gaussian_filter(inside, 12) + 1e-6
    low = ndimage.gaussian_filter(grey * inside, 12) / weight
    band = ndimage.gaussian_filter((grey - low) * inside, 1.2)
    fade = np.clip(ndimage.distance_transform_edt(mask) / (RELIEF_FADE * size_px), 0, 1)
    bumps = np.clip(band, -RELIEF_LIMIT, RELIEF_LIMIT) * inside * fade * RELIEF * size_px
    return np.asarray(bumps, dtype=np.float32)


def round_surface(outline: Outline) -> TriangleMesh:
    """Surface of a round body: front with relief, back without.

    Returns
    -------
    TriangleMesh
        In pixels: x right, y down as in the picture, z towards the viewer.
    """
    back = squared_height(outline)
    lift = np.maximum(1 + outline.relief / np.maximum(outline.height, 1.0), LEAST_LIFT)
    front = np.where(back > 0, back * lift**2, back)
    z = _depth_axis(float(np.sqrt(max(front.max(), back.max(), 0.0))), outline.cell_px)
    squared = np.where(z >= 0, front[..., None], back[..., None])
    scale = 2 * np.sqrt(np.maximum(back, 0) + (3 * outline.cell_px) ** 2)
    field = (squared - z.astype(np.float32) ** 2) / scale[..., None]
    mesh = _extract(field, outline, z)
    x, y, cell = *outline.origin, outline.cell_px
    cells = (mesh.vertices[:, [1, 0, 2]].astype(np.float64) - (y, x, 0.0)) / cell
    exact = settled(cells, front / cell**2, back / cell**2)
    return mesh.with_vertices(exact[:, [1, 0, 2]] * cell + (x, y, 0.0))


def squared_height(outline: Outline) -> Grid:
    """Squared half thickness in square pixels, zero at the outline itself and negative outside.

    A pixel at the rim knows its height badly. Its square is the distance to the outline times a
    slope that hardly changes there (about 2 r on a ball of radius r), so the slope is taken from
    further inside; half way to the middle of a thin part the height itself is taken again.
    """
    squared, distance = outline.height**2, outline.distance
    width_px = rim_px(outline.size_px, outline.cell_px)
    trust = np.maximum(distance, 0) ** 2
    reach_cells = width_px / outline.cell_px / 2
    slopes = ndimage.gaussian_filter(trust * squared / np.maximum(distance, 1.0), reach_cells)
    slope = slopes / np.maximum(ndimage.gaussian_filter(trust, reach_cells), 1e-6)
    slope = np.maximum(slope, 1.0)
    inwards = np.maximum(distance / width_px - 1, 4 * distance / slope - 1)
    share = np.clip(inwards, 0, 1)
    return np.asarray(share * squared + (1 - share) * slope * distance, dtype=np.float32)


def slab_surface(outline: Outline) -> TriangleMesh:
    """Surface of a flat body with rounded edges; same frame as ``round_surface``."""
    depth = float(outline.height.max())
    edge = SLAB_EDGE * depth
    z = _depth_axis(depth, outline.cell_px)
    across = (-outline.distance + edge)[..., None]
    along = (np.abs(z) - depth + edge).astype(np.float32)
    outer = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    field = -(outer + np.minimum(np.maximum(across, along), 0) - edge)
    return _extract(field, outline, z)


def _smooth_inside(height: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = ndimage.gaussian_filter(height**2, 1.0)
    smooth: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0.0))
    return smooth


def _depth_axis(depth_px: float, cell_px: float) -> NDArray[np.float64]:
    cells = int(np.ceil(depth_px / cell_px)) + PAD_CELLS
    return np.arange(-cells, cells + 1, dtype=np.float64) * cell_px


def _extract(field: NDArray[np.floating], outline: Outline, z: NDArray[np.float64]) -> TriangleMesh:
    values = np.ascontiguousarray(field, dtype=np.float32)
    values[values == 0] = -1e-6  # a node on the surface would collapse triangles
    for axis in range(3):  # an object at the very edge is closed there
        ends = np.moveaxis(values, axis, 0)
        ends[[0, -1]] = np.minimum(ends[[0, -1]], -1e-3)
    if values.max() <= 0:
        raise NoSurfaceFound("The object is thinner than the grid can show.")
    for method in ("lorensen", "lewiner"):
        corners, faces, _, _ = marching_cubes(values, 0.0, method=method)
        x = outline.origin[0] + corners[:, 1] * outline.cell_px
        y = outline.origin[1] + corners[:, 0] * outline.cell_px
        depth = z[0] + corners[:, 2] * outline.cell_px
        mesh = TriangleMesh.welded(np.stack([x, y, depth], axis=1), faces)
        if mesh.is_closed():
            break
    return mesh
