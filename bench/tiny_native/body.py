"""The closed body that the random networks only ruffle: an inflated outline as a field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import marching_cubes
from torch import Tensor
from torch.nn import functional

from backend.catalog import ShapeMode
from backend.engines.shape_task import ShapeTask
from backend.errors import NoSurfaceFound
from backend.meshes.height_field import inflated, lathed
from backend.meshes.masks import Mask, bounds, clean, longest_side, thicken_thin
from backend.meshes.smooth_outline import SmoothOutline
from backend.meshes.triangle_mesh import TriangleMesh

# The body reaches so far into the box from -1 to 1; the rest keeps the surface closed.
FILLED = 0.88
PAD_SHARE = 0.1
THIN_CELLS = 2.5
SOFT_CELLS = 3.0
RUFFLE = 0.01
RIM_PX = 3.0


@dataclass(frozen=True)
class Body:
    """An inflated outline.

    Parameters
    ----------
    maps : Tensor, shape (2, h, w)
        Squared and scale; the field is (squared - z^2) / scale, in units of the box.
    to_map : Tensor, shape (2, 2)
        Factor and offset from x and y in the box to places in the maps from -1 to 1.
    centre_px : tuple of float
        The middle of the box in the picture.
    half_px : float
        Half of the box in pixels.
    """

    maps: Tensor
    to_map: Tensor
    centre_px: tuple[float, float]
    half_px: float

    def field(self, points: Tensor, ruffle: Tensor) -> Tensor:
        """Return the field at points in the box, ruffled.

        Parameters
        ----------
        points : Tensor, shape (n, 3) float32
        ruffle : Tensor, shape (n,)
            From -1 to 1.
        """
        where = points[:, :2] * self.to_map[0] + self.to_map[1]
        found = functional.grid_sample(
            self.maps[None], where[None, None], padding_mode="border", align_corners=True
        )
        squared, scale = found[0, :, 0]
        values: Tensor = (squared - points[:, 2] ** 2) / scale + RUFFLE * ruffle
        return values


def body_of(task: ShapeTask, device: torch.device) -> Body:
    """Inflate an outline; raises NoSurfaceFound if there is none."""
    if not task.mask.any():
        raise NoSurfaceFound("The mask is empty.")
    pad = max(4, round(PAD_SHARE * longest_side(task.mask)))
    mask = np.pad(clean(task.mask), pad)
    mask = thicken_thin(mask, THIN_CELLS * longest_side(mask) / task.resolution)
    height = task.depth_scale * (lathed if task.mode is ShapeMode.LATHE else inflated)(mask)
    top, bottom, left, right = bounds(mask)
    half_px = max(longest_side(mask) / 2, float(height.max())) / FILLED
    squared, scale = _maps(mask, height / half_px, half_px, task.resolution)
    centre = ((left + right - 1) / 2, (top + bottom - 1) / 2)
    size = np.array([mask.shape[1] - 1, mask.shape[0] - 1])
    to_map = np.stack([2 * half_px / size, 2 * np.array(centre) / size - 1])
    maps, place = (
        torch.as_tensor(one, dtype=torch.float32, device=device)
        for one in (np.stack([squared, scale]), to_map)
    )
    return Body(maps, place, (centre[0] - pad, centre[1] - pad), half_px)


def surface_of(values: NDArray[np.float32], body: Body) -> TriangleMesh:
    """Read the surface off a grid over the box; raises NoSurfaceFound.

    Parameters
    ----------
    values : (r + 1, r + 1, r + 1) float32
        The field at x, y, z.

    Returns
    -------
    TriangleMesh
        In pixels of the picture: x right, y down, z to the viewer.
    """
    if values.max() <= 0:
        raise NoSurfaceFound("The object is thinner than the grid can show.")
    settled = np.where(np.abs(values) < 1e-5, np.float32(-1e-5), values)
    for method in ("lorensen", "lewiner"):
        corners, faces, _, _ = marching_cubes(settled, 0.0, method=method)
        places = (2 * corners / (len(values) - 1) - 1) * body.half_px
        places[:, :2] += body.centre_px
        mesh = TriangleMesh.welded(places, faces[:, ::-1])  # outwards, where y points down
        if mesh.is_closed():
            break
    return mesh


def _maps(
    mask: Mask, height: NDArray[np.float64], half_px: float, resolution: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared height inside and a slope outside, and what makes both look like distances."""
    rows, columns = (np.arange(side, dtype=np.float64) for side in mask.shape)
    distance = SmoothOutline.of(mask).distance(rows, columns, RIM_PX) / half_px
    inside = distance > 0
    typical = float(np.median(height[inside]))
    soft = SOFT_CELLS * 2 / resolution
    squared = np.where(inside, np.maximum(height**2, (0.3 * soft) ** 2), 2 * typical * distance)
    return squared, 2 * np.sqrt(np.maximum(squared, 0) + soft**2)
