"""Brings a mesh from the unit and up-axis of its file into those of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.catalog import LengthUnit, UpAxis
from backend.meshes.source_mesh import SourceMesh

METRES = {
    LengthUnit.MM: 0.001,
    LengthUnit.CM: 0.01,
    LengthUnit.M: 1.0,
    LengthUnit.IN: 0.0254,
    LengthUnit.FT: 0.3048,
}


def upright(mesh: SourceMesh, up: UpAxis) -> SourceMesh:
    """Read the coordinates of a mesh with an up-axis; Y is up afterwards.

    With Z up, x stays to the right and what was -y comes to the front: (x, y, z) becomes
    (x, z, -y), which turns but does not mirror.
    """
    if up is UpAxis.Y:
        return mesh
    return replace(mesh, vertices=_columns(mesh.vertices, (0, 2, 1), (1, 1, -1)))


def turned_to(mesh: SourceMesh, up: UpAxis) -> SourceMesh:
    """Undo ``upright``: write a mesh with Y up with another up-axis."""
    if up is UpAxis.Y:
        return mesh
    return replace(mesh, vertices=_columns(mesh.vertices, (0, 2, 1), (1, -1, 1)))


def longest_side(mesh: SourceMesh) -> float:
    """Longest side of the box of the faces, in the unit of its coordinates."""
    used = mesh.vertices[np.unique(mesh.faces)].astype(np.float64)
    return float(np.ptp(used, axis=0).max())


def scaled(mesh: SourceMesh, factor: float) -> SourceMesh:
    """Scale a mesh around the origin; by 1 nothing is changed, not even rounded."""
    if factor == 1:
        return mesh
    vertices = (mesh.vertices.astype(np.float64) * factor).astype(np.float32)
    return replace(mesh, vertices=vertices)


def _columns(
    vertices: NDArray[np.float32], order: tuple[int, int, int], signs: tuple[int, int, int]
) -> NDArray[np.float32]:
    turned = vertices[:, list(order)] * np.array(signs, dtype=np.float32)
    return np.asarray(turned + np.float32(0), dtype=np.float32)  # no -0
