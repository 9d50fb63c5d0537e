"""From pixels of the picture to metres of the model and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.triangle_mesh import TriangleMesh


@dataclass(frozen=True)
class PictureFrame:
    """Where the picture stands in the model: x right, y up, standing on y = 0, facing +Z.

    Parameters
    ----------
    centre_x_px, bottom_y_px : float
        Pixel that becomes x = 0, pixel row that becomes y = 0.
    metres_per_px : float
        Scale.
    """

    centre_x_px: float
    bottom_y_px: float
    metres_per_px: float

    def scaled(self, factor: float) -> PictureFrame:
        """Frame of the same picture enlarged by ``factor``; pixel centres stay pixel centres."""
        return PictureFrame(
            (self.centre_x_px + 0.5) * factor - 0.5,
            (self.bottom_y_px + 0.5) * factor - 0.5,
            self.metres_per_px / factor,
        )

    def to_pixels(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Picture coordinates (x, y) of points in metres, (n, 2) float64."""
        x = positions[:, 0] / self.metres_per_px + self.centre_x_px
        y = self.bottom_y_px - positions[:, 1] / self.metres_per_px
        return np.stack([x, y], axis=1).astype(np.float64)


def to_metres(mesh: TriangleMesh, size_m: float) -> tuple[TriangleMesh, PictureFrame]:
    """Scale the longest side to ``size_m``, stand it on the ground, faces outwards."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    scale = size_m / float((high - low).max())
    frame = PictureFrame(float(low[0] + high[0]) / 2, float(high[1]), scale)
    middle_z = float(low[2] + high[2]) / 2
    pixels = mesh.vertices.astype(np.float64)
    metres = np.stack(
        [
            (pixels[:, 0] - frame.centre_x_px) * scale,
            (frame.bottom_y_px - pixels[:, 1]) * scale,
            (pixels[:, 2] - middle_z) * scale,
        ],
        axis=1,
    )
    placed = TriangleMesh.welded(metres, mesh.faces)
    if placed.volume() < 0:
        placed = TriangleMesh(placed.vertices, placed.faces[:, ::-1].copy())
    return placed, frame
