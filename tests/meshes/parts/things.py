"""Solids whose parts are known, and meshes that nobody wants."""

from __future__ import annotations

import numpy as np
from skimage.measure import marching_cubes

from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh


def grid(cells: int = 48) -> np.ndarray:
    side = np.linspace(-1.25, 1.25, cells)
    return np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1)


def surface_of(values: np.ndarray) -> TriangleMesh:
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    return TriangleMesh.welded(vertices * 2.5 / (len(values) - 1) - 1.25, faces)


def ball_at(points: np.ndarray, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(points - np.array(centre), axis=-1) - radius


def dumbbell(cells: int = 48) -> TriangleMesh:
    points = grid(cells)
    handle = np.hypot(points[..., 1], points[..., 2]) - 0.16
    handle = np.maximum(handle, np.abs(points[..., 0]) - 0.7)
    balls = [ball_at(points, (x, 0, 0), 0.42) for x in (-0.7, 0.7)]
    return surface_of(np.minimum.reduce([*balls, handle]))


def mug(cells: int = 56) -> TriangleMesh:
    points = grid(cells)
    x, y, z = np.moveaxis(points, -1, 0)
    body = np.maximum(np.hypot(x, z) - 0.55, np.abs(y) - 0.7)
    hollow = np.maximum(np.hypot(x, z) - 0.43, -0.58 - y)
    handle = np.hypot(np.hypot(x - 0.6, y) - 0.4, z) - 0.1
    return surface_of(np.maximum(np.minimum(body, handle), -hollow))


def plain(mesh: TriangleMesh) -> SourceMesh:
    return SourceMesh.plain(mesh)


def triangles(vertices, faces) -> SourceMesh:
    return SourceMesh.plain(
        TriangleMesh(
            np.array(vertices, dtype=np.float32).reshape(-1, 3),
            np.array(faces, dtype=np.int32).reshape(-1, 3),
        )
    )
