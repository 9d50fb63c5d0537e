"""Small closed meshes and defective ones, made here."""

from __future__ import annotations

import numpy as np
import trimesh

from backend.meshes.masks import Mask
from backend.meshes.triangle_mesh import TriangleMesh

Place = tuple[float, float, float]


def box(size: Place = (1.0, 1.0, 1.0), centre: Place = (0.0, 0.5, 0.0)) -> TriangleMesh:
    solid = trimesh.creation.box(size)
    solid.apply_translation(centre)
    return TriangleMesh.welded(solid.vertices, solid.faces)


def sphere(radius: float = 0.5, subdivisions: int = 3) -> TriangleMesh:
    solid = trimesh.creation.icosphere(subdivisions, radius)
    return TriangleMesh.welded(solid.vertices, solid.faces)


def together(*meshes: TriangleMesh) -> TriangleMesh:
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    return TriangleMesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)]).astype(
            np.int32
        ),
    )


def disc_mask(
    side: int = 96, radius: float = 30, centre: tuple[float, float] | None = None
) -> Mask:
    y, x = np.mgrid[0:side, 0:side]
    cy, cx = centre or (side / 2 - 0.5, side / 2 - 0.5)
    return np.asarray(np.hypot(y - cy, x - cx) <= radius)


def ragged_disc_mask(side: int = 256, seed: int = 0) -> Mask:
    """A disc with the edge that a noisy photo gives it."""
    y, x = np.mgrid[0:side, 0:side] - side / 2 + 0.5
    noise = np.random.default_rng(seed).normal(0, 0.025 * side, (side, side))
    return np.asarray(np.hypot(y, x) + noise < 0.35 * side)
