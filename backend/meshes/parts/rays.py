"""Straight lines through a body."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from backend.meshes.parts.surface import Surface


class RayScene:
    """Finds the first face that a ray meets.

    Parameters
    ----------
    surface : Surface
        Both sides of its faces stop rays.
    """

    def __init__(self, surface: Surface) -> None:
        corners = surface.vertices[surface.faces].astype(np.float32)
        self._scene = EmbreeScene()
        self._mesh = EmbreeMesh(self._scene, np.ascontiguousarray(corners))  # the scene needs it

    def first_hits(
        self, origins: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Shoot rays.

        Parameters
        ----------
        origins, directions : (r, 3) float
            Directions of length 1.

        Returns
        -------
        distances : (r,) float32
            Huge where nothing was met.
        faces : (r,) int32
            -1 where nothing was met.
        """
        if not len(origins):
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32)
        met = self._scene.run(
            np.ascontiguousarray(origins, dtype=np.float32),
            np.ascontiguousarray(directions, dtype=np.float32),
            output=1,
        )
        return met["tfar"], met["primID"]


def cone_directions(
    count: int, half_angle_rad: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spread directions over a cone about +z, evenly where it meets a plane.

    Returns
    -------
    directions : (count, 3) float64
        Of length 1.
    angles : (count,) float64
        From the axis, radians.

    Notes
    -----
    Points lie on a spiral that turns by the golden angle (Vogel 1979).
    """
    index = np.arange(count) + 0.5
    radius = np.sqrt(index / count) * np.tan(half_angle_rad)
    around = index * np.pi * (3 - np.sqrt(5))
    spread = np.stack([radius * np.cos(around), radius * np.sin(around), np.ones(count)], axis=1)
    return spread / np.linalg.norm(spread, axis=1, keepdims=True), np.arctan(radius)


def turned_to(axes: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn directions about +z so that they lie about each axis, (m, d, 3)."""
    aside = np.where(np.abs(axes[:, :1]) > 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    u = np.cross(axes, aside)
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    frames = np.stack([u, np.cross(axes, u), axes], axis=1)
    return np.asarray(np.einsum("dk,mkx->mdx", directions, frames))
