"""Cups, vases, bowls: walls around a hollow belong together although no line inside joins them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.parts.rays import RayScene, cone_directions, turned_to
from backend.meshes.parts.surface import Surface

OUTWARD_RAYS, OUTWARD_HALF_RAD = 25, np.radians(70)
INWARD_RAYS, INWARD_HALF_RAD = 15, np.radians(60)
LIFT = 2e-4
DEEP = (0.6, 0.85)
FACING = (0.1, 0.35)
BACKED = (0.1, 0.4)


@dataclass(frozen=True)
class Hollows:
    """How patches lie about hollows.

    Parameters
    ----------
    inner : (k,) float64
        Whether a patch lines a hollow, from 0 to 1.
    walls : (k,) float64
        Whether it lines one or is the far side of such a wall, from 0 to 1.
    inner_sides : (k, k) float64
        For each wall the shares of the patches that are its inner side; rows sum to 1 or 0.
    """

    inner: NDArray[np.float64]
    walls: NDArray[np.float64]
    inner_sides: NDArray[np.float64]

    def joined(
        self, sight: NDArray[np.float64], air_sight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Let walls see one another through their hollow.

        Parameters
        ----------
        sight, air_sight : (k, k) float64
            Share of point pairs that see each other inside the body, and outside of it.
        """
        across = self.inner_sides @ air_sight @ self.inner_sides.T
        return np.maximum(sight, np.minimum(across, 1) * np.outer(self.walls, self.walls))


def find_hollows(
    surface: Surface, scene: RayScene, patches: NDArray[np.int64], samples: NDArray[np.int64]
) -> Hollows:
    """Find the patches that line a hollow, and those behind them.

    A patch lines a hollow when hardly any ray from it escapes, or when it faces such patches.

    Parameters
    ----------
    samples : (s,) int64
        Faces of each patch from which rays are shot.
    """
    outward = _shares(surface, scene, patches, samples, inward=False)
    deep = _rise(outward.sum(axis=1), DEEP)
    inner = np.maximum(deep, _rise(outward @ deep, FACING))
    through = _shares(surface, scene, patches, samples, inward=True) * inner
    backed = through.sum(axis=1)
    walls = np.maximum(inner, _rise(backed, BACKED))
    sides = np.where((inner > 0)[:, None], np.eye(len(inner)), through)
    return Hollows(inner, walls, sides / np.maximum(sides.sum(axis=1), 1e-12)[:, None])


def _shares(
    surface: Surface,
    scene: RayScene,
    patches: NDArray[np.int64],
    samples: NDArray[np.int64],
    *,
    inward: bool,
) -> NDArray[np.float64]:
    """Shares of the rays from each patch that end at the near side of each patch, (k, k)."""
    sign, count, half = (
        (-1, INWARD_RAYS, INWARD_HALF_RAD) if inward else (1, OUTWARD_RAYS, OUTWARD_HALF_RAD)
    )
    normals = sign * surface.normals[samples]
    directions = turned_to(normals, cone_directions(count, float(half))[0]).reshape(-1, 3)
    origins = np.repeat(surface.centres[samples] + LIFT * normals, count, axis=0)
    _, met = scene.first_hits(origins, directions)
    towards = np.einsum("ij,ij->i", surface.normals[np.maximum(met, 0)], directions) * sign < 0
    good = (met >= 0) & towards
    patch_count = int(patches.max()) + 1
    start = np.repeat(patches[samples], count)
    keys = start[good] * patch_count + patches[met[good]]
    hits = np.bincount(keys, minlength=patch_count**2).reshape(patch_count, patch_count)
    return hits / np.maximum(np.bincount(start, minlength=patch_count), 1)[:, None]


def _rise(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Go smoothly from 0 below the limits to 1 above them."""
    share = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
