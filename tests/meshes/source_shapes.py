"""Source meshes with known parts, textured or plain."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from tests.meshes.solids import box, sphere, together


def png(color=(200, 40, 40), side=8) -> EncodedImage:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png")


def three_balls(subdivisions=2) -> SourceMesh:
    """Balls of radius 0.5 with middles at x = 0, 2 and 4; the faces of each lie together."""
    balls = [sphere(subdivisions=subdivisions) for _ in range(3)]
    moved = [
        ball.with_vertices(ball.vertices + np.array([2.0 * index, 0, 0], dtype=np.float32))
        for index, ball in enumerate(balls)
    ]
    return SourceMesh.plain(together(*moved))


def ball_of_face(mesh: SourceMesh) -> np.ndarray:
    """Number of the ball each face belongs to."""
    return np.rint(mesh.vertices[mesh.faces].mean(axis=1)[:, 0] / 2).astype(np.int32)


def textured_box() -> SourceMesh:
    """A cube whose sides have vertices of their own; the top has a second material."""
    solid = box(centre=(0.0, 0.0, 0.0))
    corners = solid.vertices[solid.faces].reshape(-1, 3)
    middles = corners.reshape(-1, 3, 3).mean(axis=1)
    sides = np.rint(2 * middles).astype(int)
    keys = [(*side, *corner) for side, corner in zip(np.repeat(sides, 3, 0), corners, strict=True)]
    kinds = {key: number for number, key in enumerate(dict.fromkeys(map(tuple, map(list, keys))))}
    vertices = np.array([key[3:] for key in kinds], dtype=np.float32)
    faces = np.array([kinds[tuple(key)] for key in keys], dtype=np.int32).reshape(-1, 3)
    uvs = (vertices[:, :2] + 0.5).astype(np.float32)
    looks = (Material("paint", roughness=0.5, texture=png()), Material("lid", (0.0, 0, 1, 1)))
    return SourceMesh(vertices, faces, uvs, None, looks, (sides[:, 1] == 1).astype(np.int16))
