"""Pictures of meshes by ray casting on the processor: thumbnails and contact sheets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from backend.meshes.frame import PictureFrame
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals

PLAIN = np.array([0.75, 0.76, 0.80])
LIGHT = np.array([0.4, 0.6, 1.0])
AMBIENT, DIFFUSE = 0.45, 0.62
ZOOM = 1.06


@dataclass(frozen=True)
class View:
    """An orthographic view; angles in degrees, azimuth 0 looks at the front."""

    azimuth: float = 0.0
    elevation: float = 0.0

    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors to the viewer, to the right and up."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        level = np.cos(elevation)
        towards = np.array([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)])
        right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
        return towards, right, np.cross(towards, right)


def render(
    mesh: TriangleMesh | TexturedMesh, view: View, size_px: int, supersample: int = 2
) -> NDArray[np.uint8]:
    """Render a mesh on a transparent ground.

    Returns
    -------
    (size_px, size_px, 4) uint8
        RGBA.
    """
    side = size_px * supersample
    axes = view.axes()
    origins, directions, pixels = _rays(mesh.vertices, axes, side)
    scene = EmbreeScene()
    EmbreeMesh(scene, np.ascontiguousarray(mesh.vertices[mesh.faces], dtype=np.float32))
    hits = scene.run(origins, directions, output=True)
    hit = hits["primID"] >= 0
    image = np.zeros((side * side, 4))
    if hit.any():
        image[pixels[hit], :3] = _shade(mesh, hits, hit, axes)
        image[pixels[hit], 3] = 1.0
    return _reduce(image.reshape(side, side, 4), supersample)


def covered_pixels(
    mesh: TriangleMesh, frame: PictureFrame, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which pixels of the picture the mesh covers when seen from the front, (h, w) bool."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    metres_x = (x.ravel() - frame.centre_x_px) * frame.metres_per_px
    metres_y = (frame.bottom_y_px - y.ravel()) * frame.metres_per_px
    depth = float(mesh.vertices[:, 2].max()) + float(mesh.extents.max())
    origins = np.stack([metres_x, metres_y, np.full(x.size, depth)], axis=1).astype(np.float32)
    directions = np.broadcast_to(np.array([0, 0, -1], dtype=np.float32), origins.shape)
    scene = EmbreeScene()
    EmbreeMesh(scene, np.ascontiguousarray(mesh.vertices[mesh.faces], dtype=np.float32))
    hits = scene.run(origins, np.ascontiguousarray(directions), output=True)
    covered: NDArray[np.bool_] = (hits["primID"] >= 0).reshape(shape)
    return covered


def _rays(
    vertices: NDArray[np.float32],
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    side: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Aim at the pixels of the rectangle in which the mesh lies; the others stay empty.

    Returns
    -------
    (r, 3) float32, (r, 3) float32, (r,) int64
        Origins and directions of the rays, and the pixel of each.
    """
    towards, right, up = axes
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centre = (low + high).astype(np.float64) / 2
    relative = vertices.astype(np.float64) - centre
    across, upwards = relative @ right, relative @ up
    reach = max(np.abs(across).max(), np.abs(upwards).max()) * ZOOM
    distance = float(np.linalg.norm(high - low))
    grid = (np.arange(side) + 0.5) / side * 2 - 1
    columns = _reached(grid * reach, across)
    rows = _reached(-grid * reach, upwards)
    x, y = np.meshgrid(grid[columns] * reach, -grid[rows] * reach)
    pixels = (rows[:, None] * side + columns).reshape(-1)
    origins = centre + towards * distance + x.reshape(-1, 1) * right + y.reshape(-1, 1) * up
    directions = np.broadcast_to(-towards, origins.shape)
    return (
        np.ascontiguousarray(origins, dtype=np.float32),
        np.ascontiguousarray(directions, dtype=np.float32),
        pixels,
    )


def _reached(lines: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Say which lines of pixels lie beside any of the places, with one to spare."""
    spare = abs(lines[1] - lines[0])
    return np.flatnonzero((lines >= places.min() - spare) & (lines <= places.max() + spare))


def _shade(
    mesh: TriangleMesh | TexturedMesh,
    hits: dict[str, NDArray[np.generic]],
    hit: NDArray[np.bool_],
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    towards, right, up = axes
    corners = mesh.faces[np.asarray(hits["primID"])[hit].astype(np.int64)]
    u, v = (np.asarray(hits[name], dtype=np.float64)[hit] for name in ("u", "v"))
    weights = np.stack([1 - u - v, u, v], axis=1)
    normals = mesh.normals if isinstance(mesh, TexturedMesh) else vertex_normals(mesh)
    normal = np.einsum("ij,ijk->ik", weights, normals[corners].astype(np.float64))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = LIGHT @ np.stack([right, up, towards])
    light /= np.linalg.norm(light)
    shade = AMBIENT + DIFFUSE * np.clip(normal @ light, 0, 1)
    if not isinstance(mesh, TexturedMesh):
        return np.asarray(np.clip(PLAIN * shade[:, None], 0, 1))
    colour = _look_up(mesh, np.einsum("ij,ijk->ik", weights, mesh.uv[corners].astype(np.float64)))
    return np.asarray(np.clip(colour * (0.55 + 0.5 * shade[:, None]), 0, 1))


def _look_up(mesh: TexturedMesh, uv: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = mesh.texture.shape[:2]
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(mesh.texture[row, column].astype(np.float64) / 255)


def _reduce(image: NDArray[np.float64], factor: int) -> NDArray[np.uint8]:
    """Average blocks of pixels; colours count as much as they cover."""
    side = image.shape[0] // factor
    blocks = image.reshape(side, factor, side, factor, 4)
    merged = blocks.sum(axis=1).sum(axis=2) / factor**2  # whole rows first: four times as fast
    merged[..., :3] /= np.maximum(merged[..., 3:], 1e-9)
    return np.asarray(np.round(np.clip(merged, 0, 1) * 255), dtype=np.uint8)
