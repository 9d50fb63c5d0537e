"""A part that was cut from a surface and made a mesh of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backend.meshes.source_mesh import SourceMesh


class ClosingMethod(StrEnum):
    """How a part was closed."""

    WAS_CLOSED = "was_closed"
    CAP = "cap"
    REMESH = "remesh"
    THICKENED = "thickened"


@dataclass(frozen=True)
class ClosedPart:
    """One part.

    Parameters
    ----------
    part : int
        Its number.
    mesh : SourceMesh
        Closed; faces that were added have the last material.
    method : ClosingMethod
        How it was closed.
    volume : float
        In cubic units of the mesh.
    notice : str or None
        What people should know of it.
    """

    part: int
    mesh: SourceMesh
    method: ClosingMethod
    volume: float
    notice: str | None = None
