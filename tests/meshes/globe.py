"""A globe whose texture has a seam, and vertices apart at the poles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.meshes.source_mesh import Material, SourceMesh
from tests.meshes.source_shapes import png


def globe(rows: int = 24) -> SourceMesh:
    """Radius 1; u is the longitude, v the latitude from the top, both from 0 to 1."""
    u, v = np.meshgrid(np.linspace(0, 1, 2 * rows + 1), np.linspace(0, 1, rows + 1))
    around, down = 2 * np.pi * u, np.pi * v
    points = np.stack(
        [np.sin(down) * np.cos(around), np.cos(down), -np.sin(down) * np.sin(around)], axis=2
    )
    points[:, -1] = points[:, 0]
    points[0], points[-1] = (0, 1, 0), (0, -1, 0)
    numbers = np.arange(u.size).reshape(u.shape)
    a, b, c, d = numbers[:-1, :-1], numbers[:-1, 1:], numbers[1:, :-1], numbers[1:, 1:]
    faces = np.concatenate(
        [
            np.stack([a, c, d], axis=2)[:-1].reshape(-1, 3),
            np.stack([a, d, b], axis=2)[1:].reshape(-1, 3),
        ]
    )
    uvs = np.stack([u, v], axis=2).reshape(-1, 2).astype(np.float32)
    vertices = points.reshape(-1, 3).astype(np.float32)
    looks = (Material("land", texture=png(side=16)),)
    kinds = np.zeros(len(faces), dtype=np.int16)
    whole = SourceMesh(vertices, faces.astype(np.int32), uvs, None, looks, kinds)
    return whole.selected(np.ones(len(faces), dtype=bool))


def without_faces(mesh: SourceMesh, *gone: int) -> SourceMesh:
    """Leave out faces; vertices stay, also those that no face uses any more."""
    keep = np.ones(len(mesh.faces), dtype=bool)
    keep[list(gone)] = False
    return with_faces(mesh, mesh.faces[keep], mesh.face_materials[keep])


def with_faces(mesh: SourceMesh, faces, kinds=None) -> SourceMesh:
    """Give a mesh other faces, of the first material unless told."""
    kinds = np.zeros(len(faces), dtype=np.int16) if kinds is None else kinds
    return replace(mesh, faces=np.asarray(faces, dtype=np.int32), face_materials=kinds)
