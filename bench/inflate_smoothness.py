"""How far do the faces of a turned body lean from where they should look?

Outlines of bodies whose radius is a formula are given to ``inflate`` at 512 px. Compared with what
it did before, in the same run: radii in whole pixels, heights up to the outline's pixels, vertices
as marching cubes leaves them. Both are smoothed as the pipeline does. The angle to the true normal
is taken over all vertices but those of flat ends.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from backend.catalog import ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.shape_task import ShapeTask
from backend.meshes.masks import Mask, bounds
from backend.meshes.smoothing import taubin
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from bench.record import Figure, report

SIZE_PX, HALF_PX, CELLS, PAD_CELLS = 512, 230.0, 160, 3
SMOOTH_ROUNDS = 6
END_SHARE, POLE_SHARE = 0.95, 0.02

Values = NDArray[np.float64]
Radius = Callable[[Values], Values]

# Radius over height, both in halves of the body's height.
BODIES: dict[str, Radius] = {
    "ball": lambda y: np.sqrt(np.maximum(1 - y**2, 0)),
    "egg": lambda y: 0.7 * np.sqrt(np.maximum(1 - y**2, 0)) * (1 - 0.15 * y),
    "vase": lambda y: 0.4 + 0.15 * np.sin(4 * y),
    "bulb": lambda y: 0.6 * np.sqrt(np.maximum(1 - y**2, 0)) * (0.7 + 0.3 * np.cos(3 * y)),
}


def outline_of(radius: Radius) -> Mask:
    """Draw a body from the front, (512, 512) bool."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - (SIZE_PX - 1) / 2
    mask: Mask = (np.abs(x) < HALF_PX * radius(y / HALF_PX)) & (np.abs(y) < HALF_PX)
    return mask


def inflated_now(mask: Mask) -> TriangleMesh:
    """Run the engine."""
    grey = np.full((*mask.shape, 3), 128, dtype=np.uint8)
    task = ShapeTask(grey, mask, ShapeMode.LATHE, CELLS)
    return Inflate().run([task], StageProgress(SilentSink(), "bench"))[0].mesh


def inflated_by_pixels(mask: Mask) -> TriangleMesh:
    """Turn every row of pixels, and read the surface off the grid as it is."""
    inside, outside = (ndimage.distance_transform_edt(one) for one in (mask, ~mask))
    distance = ndimage.gaussian_filter(np.where(mask, inside - 0.5, 0.5 - outside), 1.0)
    top, bottom, left, right = bounds(mask)
    cell = max(bottom - top, right - left) / CELLS
    pad = PAD_CELLS * cell
    y, x = np.arange(top - pad, bottom + pad, cell), np.arange(left - pad, right + pad, cell)
    where = np.meshgrid(y, x, indexing="ij")
    squared = ndimage.gaussian_filter(_turned_rows(mask), 1.0)
    height, near = (ndimage.map_coordinates(one, where, order=1) for one in (squared, distance))
    slope = 2 * np.sqrt(np.median(height[near > 0]))
    height = np.where(near > 0, np.maximum(height, 1e-3), slope * near)
    z = np.arange(-np.sqrt(height.max()) - pad, np.sqrt(height.max()) + pad, cell)
    scale = 2 * np.sqrt(np.maximum(height, 0) + (3 * cell) ** 2)
    corners, faces, _, _ = marching_cubes((height[..., None] - z**2) / scale[..., None], 0.0)
    places = corners[:, [1, 0, 2]] * cell + (x[0], y[0], z[0])
    return TriangleMesh.welded(places, faces)


def _turned_rows(mask: Mask) -> Values:
    squared = np.zeros(mask.shape)
    for row in np.flatnonzero(mask.any(axis=1)):
        run = np.flatnonzero(mask[row])
        radius, middle = len(run) / 2, run.mean()
        squared[row, run] = np.maximum(radius**2 - (run - middle) ** 2, 0.2)
    return squared


def tilts_deg(mesh: TriangleMesh, radius: Radius) -> Values:
    """Angles between the normals of a mesh in pixels and the true ones, (n,)."""
    places = (
        mesh.vertices.astype(np.float64) - ((SIZE_PX - 1) / 2, (SIZE_PX - 1) / 2, 0)
    ) / HALF_PX
    normals = np.asarray(mesh.as_trimesh().vertex_normals, dtype=np.float64)
    x, y, z = places.T
    around = np.hypot(x, z)
    kept = (np.abs(y) < END_SHARE) & (around > POLE_SHARE)
    steep = (radius(y + 1e-4) - radius(y - 1e-4)) / 2e-4
    truth = np.stack([x / around, -steep, z / around], axis=1)[kept]
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    agreement = np.abs(np.einsum("ij,ij->i", normals[kept], truth))
    return np.asarray(np.degrees(np.arccos(np.clip(agreement, 0, 1))))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    ways = {"pixel by pixel": inflated_by_pixels, "inflate": inflated_now}
    mean: dict[str, list[float]] = {name: [] for name in ways}
    worst: dict[str, list[float]] = {name: [] for name in ways}
    elapsed: dict[str, list[float]] = {name: [] for name in ways}
    for radius in BODIES.values():
        mask = outline_of(radius)
        for name, way in ways.items():
            started_s = time.perf_counter()
            mesh = way(mask)
            elapsed[name].append(time.perf_counter() - started_s)
            tilt_deg = tilts_deg(taubin(mesh, SMOOTH_ROUNDS), radius)
            mean[name].append(float(tilt_deg.mean()))
            worst[name].append(float(np.percentile(tilt_deg, 99)))
    figures = []
    for what, unit, values in (
        ("mean tilt", "deg", mean),
        ("tilt, 99th percentile", "deg", worst),
        ("time", "s", elapsed),
    ):
        base = float(np.median(values["pixel by pixel"]))
        figures += [Figure.of(f"{what}, {name}", unit, values[name], base) for name in ways]
    report("inflate_smoothness", figures, {"bodies": list(BODIES), "cells": CELLS}, args.json, [])


if __name__ == "__main__":
    main()
