"""Writes a joined surface with the faces that fill its holes as a mesh with all that it had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.mending.hole_filling import Filled
from backend.meshes.mending.vertex_merging import merge_alike
from backend.meshes.source_mesh import SourceMesh


def joined_mesh(
    mesh: SourceMesh, surface: JoinedSurface, filled: Filled, over: NDArray[np.bool_]
) -> tuple[SourceMesh, int]:
    """Write the mesh anew.

    Parameters
    ----------
    mesh : SourceMesh
        What the surface was joined from.
    over : (k + f,) bool
        Faces of the surface, then those that fill holes, which are turned over.

    Returns
    -------
    mesh : SourceMesh
    merged : int
        Vertices of the mesh that were like others, or that no face uses.

    Notes
    -----
    Faces that fill a hole have the material of a face beside it, one point of its texture, and
    the mean colour of the vertices around: they look like what is around them, and no part of the
    texture that belongs elsewhere is drawn across the hole.
    """
    corners = mesh.faces[surface.sources].astype(np.int64)
    corners[surface.turned] = corners[surface.turned][:, [0, 2, 1]]
    vertices = mesh.vertices.copy()
    vertices[corners] = surface.points[surface.faces]
    whole = replace(
        mesh,
        vertices=vertices,
        faces=corners.astype(np.int32),
        face_materials=mesh.face_materials[surface.sources],
    )
    if len(filled.faces):
        whole = _with_fillings(whole, surface, filled)
    faces = whole.faces.copy()
    faces[over] = faces[over][:, [0, 2, 1]]
    made, kept = merge_alike(replace(whole, faces=faces))
    return made, len(mesh.vertices) - int((kept < len(mesh.vertices)).sum())


def _with_fillings(whole: SourceMesh, surface: JoinedSurface, filled: Filled) -> SourceMesh:
    """Add the fillings, each corner with a vertex of its own."""
    half_edges = np.zeros(len(surface.points), dtype=np.int64)
    half_edges[surface.faces.reshape(-1)[surface.borders]] = surface.borders
    beside = [half_edges[loop] for loop in filled.loops]
    faces = np.array([int(half[0]) // 3 for half in beside], dtype=np.int64)
    rims = [whole.faces.reshape(-1)[half] for half in beside]
    points = np.concatenate([surface.points, filled.points])
    new = points[filled.faces.reshape(-1)].astype(np.float32)
    numbers = len(whole.vertices) + np.arange(len(new)).reshape(-1, 3)
    kinds = whole.face_materials[faces[filled.holes]]
    return replace(
        whole,
        vertices=np.concatenate([whole.vertices, new]),
        faces=np.concatenate([whole.faces, numbers.astype(np.int32)]),
        uvs=_extended(whole.uvs, [rim[:1] for rim in rims], filled.holes),
        colors=_extended(whole.colors, rims, filled.holes),
        face_materials=np.concatenate([whole.face_materials, kinds]),
    )


def _extended(
    values: NDArray[Any] | None, rims: list[NDArray[np.int32]], holes: Indices
) -> NDArray[Any] | None:
    """Add the mean of the values around its hole for each corner of each filling."""
    if values is None:
        return None
    means = np.stack([values[rim].astype(np.float64).mean(axis=0) for rim in rims])
    if np.issubdtype(values.dtype, np.integer):
        means = means.round()
    rows = np.repeat(means[holes], 3, axis=0).astype(values.dtype)
    return np.concatenate([values, rows])
