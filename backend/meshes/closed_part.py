"""A part that was cut from a surface and made a mesh of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backend.meshes.source_mesh import SourceMesh


class ClosingMethod(StrEnum):
    """How a part was closed; GENERATED if a network made it anew, OPEN when no way led there."""

    WAS_CLOSED = "was_closed"
    CAP = "cap"
    REMESH = "remesh"
    THICKENED = "thickened"
    GENERATED = "generated"
    OPEN = "open"


@dataclass(frozen=True)
class ClosedPart:
    """One part.

    Parameters
    ----------
    part : int
        Its number.
    mesh : SourceMesh
        Closed unless the method is OPEN; faces that were added have the last material, except the
        back of a thickened sheet, which looks as its front does.
    method : ClosingMethod
        How it was closed.
    volume : float or None
        In cubic units of the mesh; None when it is open.
    notice : str or None
        What people should know of it.
    """

    part: int
    mesh: SourceMesh
    method: ClosingMethod
    volume: float | None
    notice: str | None = None
