"""Where each face of a mesh lies in a texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SurfaceLayout:
    """Texture coordinates for every corner of a mesh, its vertices doubled along seams.

    Parameters
    ----------
    sources : (n,) int64
        Vertex of the mesh that each vertex of the layout comes from.
    uv : (n, 2) float32
        Texture coordinates from 0 to 1, origin at the bottom left (as in ``TexturedMesh``).
    faces : (m, 3) int32
        Corners as vertices of the layout, in the order of the mesh's faces.
    """

    sources: NDArray[np.int64]
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]

    @property
    def corner_uv(self) -> NDArray[np.float64]:
        """Texture coordinates of each corner of each face, (m, 3, 2) float64."""
        corners: NDArray[np.float64] = self.uv.astype(np.float64)[self.faces]
        return corners
