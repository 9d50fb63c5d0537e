"""A part whose surface a network made anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.parts.face_colors import GAMMA, face_srgb
from backend.meshes.shine_maps import mean_shine
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh

NAME = "generated"
NOT_CLOSED = "Its surface is not closed everywhere, so it has no volume."


def generated_part(
    number: int, mesh: TriangleMesh, look: Material, notice: str | None = None
) -> ClosedPart:
    """Give a surface the look of its part.

    Parameters
    ----------
    mesh : TriangleMesh
        In the coordinates of the object.
    notice : str, optional
        What people should know of it.
    """
    kinds = np.zeros(len(mesh.faces), dtype=np.int16)
    dressed = SourceMesh(mesh.vertices, mesh.faces, None, None, (look,), kinds)
    is_closed = mesh.is_closed()
    notices = [text for text in (notice, None if is_closed else NOT_CLOSED) if text]
    return ClosedPart(
        number,
        dressed,
        ClosingMethod.GENERATED,
        mesh.volume() if is_closed else None,
        " ".join(notices) or None,
    )


def part_look(mesh: SourceMesh) -> Material:
    """Find one material for all of a part: the one that most of its area has, in one colour.

    Texture coordinates do not carry over to another surface. Instead of a texture or of colours of
    vertices it has the mean colour of the faces.

    Parameters
    ----------
    mesh : SourceMesh
        The faces of the part alone; at least one.
    """
    areas = _areas(mesh)
    shares = np.bincount(mesh.face_materials, weights=areas, minlength=len(mesh.materials))
    kind = int(shares.argmax())
    dominant = mesh.materials[kind]
    color: tuple[float, ...] = dominant.base_color[:3]
    if mesh.colors is not None or dominant.texture is not None:
        color = _mean_color(mesh, np.where(mesh.face_materials == kind, areas, 0.0))
    metallic, roughness = mean_shine(dominant)
    return Material(
        NAME,
        base_color=(color[0], color[1], color[2], 1.0),
        metallic=metallic,
        roughness=roughness,
    )


def _mean_color(mesh: SourceMesh, weights: NDArray[np.float64]) -> tuple[float, ...]:
    """Average linear colours, as light is added up."""
    linear = face_srgb(mesh) ** (1 / GAMMA)
    mean = np.average(linear, axis=0, weights=weights if weights.any() else None)
    return tuple(round(float(value), 4) for value in mean)


def _areas(mesh: SourceMesh) -> NDArray[np.float64]:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
    areas: NDArray[np.float64] = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return areas
