"""Rays of embree that run along the depth of a screen."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from backend.meshes.texturing.screen_faces import ScreenFaces


class ParallelRays:
    """Rays along the depth; in a flat scene the face with the lowest number is the nearest.

    Parameters
    ----------
    faces : ScreenFaces
        At least one. Rays meet them in single precision, but none slips between neighbours.
    """

    def __init__(self, faces: ScreenFaces) -> None:
        nearest, furthest = faces.extent()
        corners = faces.corners.astype(np.float32)
        self._only_depth = nearest if furthest == nearest else None
        if furthest == nearest:
            nearest, furthest = 0.0, 1.0
            corners[..., 2] = np.linspace(0, 1, len(faces))[:, None]
        self._start = nearest - max(furthest - nearest, 1e-3) * 0.1
        self._scene = EmbreeScene(robust=True)
        self._mesh = EmbreeMesh(self._scene, np.ascontiguousarray(corners))  # the scene needs it

    def first_hits(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the position of a nearest face at each point, (k, 2) to (k,); -1 for none."""
        if not len(points):
            return np.zeros(0, dtype=np.int32)
        faces: NDArray[np.int32] = self._scene.run(*self._rays(points))
        return faces

    def first_depths(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return whether there is a face at each point, and how deep; 0 for none."""
        found = self._scene.run(*self._rays(points), output=1)
        met = found["primID"] >= 0
        deep = found["tfar"] + np.float32(self._start)
        if self._only_depth is not None:  # the scene is not flat: its faces were put in order
            deep = np.full(len(points), self._only_depth, dtype=np.float32)
        return met, np.where(met, deep, np.float32(0))

    def next_hits(
        self, points: NDArray[np.float64], starts: NDArray[np.float64], reach: float
    ) -> NDArray[np.int32]:
        """Return a nearest face behind the start of each ray and within reach of it, (k,)."""
        if not len(points):
            return np.zeros(0, dtype=np.int32)
        origins, directions = self._rays(points)
        origins[:, 2] = starts
        reaches = np.full(len(points), reach, dtype=np.float32)
        faces: NDArray[np.int32] = self._scene.run(origins, directions, reaches)
        return faces

    def _rays(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        origins = np.full((len(points), 3), self._start, dtype=np.float32)
        origins[:, :2] = points
        directions = np.zeros_like(origins)
        directions[:, 2] = 1
        return origins, directions
