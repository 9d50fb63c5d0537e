"""Surfaces with known answers, open, torn and closed."""

from __future__ import annotations

import numpy as np
import trimesh

from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh

PICTURE = EncodedImage(b"not looked at", "image/png")
CLOTH = Material("cloth", texture=PICTURE)
WOOD = Material("wood", base_color=(0.4, 0.2, 0.1, 1.0))


def surface(vertices, faces, uvs=None, colors=None, materials=(CLOTH,), kinds=None) -> SourceMesh:
    return SourceMesh(
        np.asarray(vertices, np.float32),
        np.asarray(faces, np.int32).reshape(-1, 3),
        uvs,
        colors,
        materials,
        np.zeros(len(faces), np.int16) if kinds is None else np.asarray(kinds, np.int16),
    )


def of(solid: trimesh.Trimesh) -> SourceMesh:
    return surface(solid.vertices, solid.faces)


def soup(mesh: SourceMesh, shift: float = 0.0, seed: int = 0) -> SourceMesh:
    """Give every face vertices of its own, moved at random."""
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    noise = np.random.default_rng(seed).normal(0, 1, corners.shape)
    return surface(corners + shift * noise, np.arange(len(corners)).reshape(-1, 3))


def centres(mesh: SourceMesh) -> np.ndarray:
    return mesh.vertices[mesh.faces].mean(axis=1)


def pane(side: float = 1.0, cells: int = 4) -> SourceMesh:
    """A flat square with a texture, looking to +Z."""
    x, y = np.meshgrid(np.linspace(0, 1, cells + 1), np.linspace(0, 1, cells + 1))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    low = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    right, up = low + 1, low + cells + 1
    faces = np.concatenate([np.stack([low, right, up + 1], 1), np.stack([low, up + 1, up], 1)])
    vertices = np.column_stack([places * side, np.zeros(len(places))])
    return surface(vertices, faces, uvs=places.astype(np.float32))


def welded(mesh: SourceMesh) -> trimesh.Trimesh:
    """Read it as a printing program would: positions alone."""
    read = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    read.merge_vertices(merge_tex=True, merge_norm=True)
    a, b, c = np.asarray(read.faces).T
    read.update_faces((a != b) & (b != c) & (c != a))
    return read


def cut(solid: trimesh.Trimesh | SourceMesh, normal, height: float = 0.0) -> SourceMesh:
    """Keep what lies above a plane; faces across it are cut."""
    points = [np.asarray(point, dtype=np.float64) for point in solid.vertices]
    heights = (np.array(points) @ np.asarray(normal, dtype=np.float64) - height).tolist()
    between: dict[tuple[int, int], int] = {}

    def crossing(a: int, b: int) -> int:
        a, b = min(a, b), max(a, b)
        if (a, b) not in between:
            share = heights[a] / (heights[a] - heights[b])
            between[a, b] = len(points)
            points.append(points[a] + share * (points[b] - points[a]))
        return between[a, b]

    faces = []
    for face in np.asarray(solid.faces).tolist():
        outline: list[int] = []
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            if heights[a] >= 0:
                outline.append(a)
            if (heights[a] >= 0) != (heights[b] >= 0):
                outline.append(crossing(a, b))
        faces += [[outline[0], *outline[i : i + 2]] for i in range(1, len(outline) - 1)]
    used, compact = np.unique(np.array(faces, dtype=int).reshape(-1, 3), return_inverse=True)
    return surface(np.array(points)[used], compact.reshape(-1, 3))
