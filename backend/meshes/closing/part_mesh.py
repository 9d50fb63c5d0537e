"""Writes a closed surface as a mesh that begins with the one it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.closed_surface import NO_LOOK, ClosedSurface
from backend.meshes.closing.half_edges import Indices
from backend.meshes.equal_rows import equal_rows
from backend.meshes.source_mesh import Material, SourceMesh

CAP_MATERIAL = Material(name="cap", base_color=(0.36, 0.38, 0.42, 1.0), roughness=0.9)


def part_mesh(closed: ClosedSurface, mesh: SourceMesh) -> SourceMesh:
    """Write a closed surface with all that its mesh has.

    The vertices of the mesh come first, and its faces in their order but for those that collapse
    or are there twice. Corners that were moved have new vertices, and so have added faces: they
    share none with the others, so that shading breaks at the rim.

    Parameters
    ----------
    closed : ClosedSurface
    mesh : SourceMesh
        What it was made of.
    """
    surface = closed.surface
    corners = mesh.faces[surface.sources].astype(np.int64)
    corners[surface.turned] = corners[surface.turned][:, [0, 2, 1]]
    points = closed.points.astype(np.float32)
    moved = (points[surface.faces] != mesh.vertices[corners]).any(axis=2)
    fronts = np.stack([corners[moved], surface.faces[moved]], axis=1)
    new, numbers = _new_vertices(fronts, _added_corners(closed, corners), len(mesh.vertices))
    corners[moved] = numbers[: len(fronts)]
    faces = np.concatenate([corners, numbers[len(fronts) :].reshape(-1, 3)])
    over = closed.turned_bodies[closed.bodies]
    faces[over] = faces[over][:, [0, 2, 1]]
    return SourceMesh(
        np.concatenate([mesh.vertices, points[new[:, 1]]]),
        faces.astype(np.int32),
        None if mesh.uvs is None else _extended(mesh.uvs, new[:, 0], 0),
        None if mesh.colors is None else _extended(mesh.colors, new[:, 0], 255),
        (*mesh.materials, CAP_MATERIAL) if len(closed.looks) else mesh.materials,
        _materials(closed, mesh),
    )


def _added_corners(closed: ClosedSurface, corners: Indices) -> Indices:
    """List for each corner of added faces the vertex it copies, or NO_LOOK, and its point."""
    copied = corners[closed.looks][:, [0, 2, 1]]
    copied[closed.looks == NO_LOOK] = NO_LOOK
    return np.stack([copied, closed.added_faces], axis=2).reshape(-1, 2)


def _new_vertices(fronts: Indices, added: Indices, first: int) -> tuple[Indices, Indices]:
    """Return the pairs that need a vertex, (p, 2), and the number of that of each corner."""
    new, _, compact = equal_rows(np.concatenate([fronts, added]))
    return new, compact + first


def _materials(closed: ClosedSurface, mesh: SourceMesh) -> NDArray[np.int16]:
    kinds = mesh.face_materials[closed.surface.sources]
    added = np.where(closed.looks == NO_LOOK, len(mesh.materials), kinds[closed.looks])
    return np.concatenate([kinds, added]).astype(np.int16)


def _extended(values: NDArray[Any], copied: Indices, fill: int) -> NDArray[Any]:
    """Add a row for each new vertex: that of the vertex it copies, or a plain one."""
    rows = values[copied]
    rows[copied == NO_LOOK] = fill
    return np.concatenate([values, rows])
