"""Chooses how to close a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from backend.errors import PartNotClosed
from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.closing.closed_surface import ClosedSurface
from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.joined_surface import JoinedSurface, join
from backend.meshes.closing.part_mesh import part_mesh
from backend.meshes.closing.patching import MIN_CLOSED_THICKNESS, Patched, patch
from backend.meshes.closing.remeshing import remesh
from backend.meshes.closing.separation import pull_apart
from backend.meshes.closing.solidity import face_normals, face_volumes, is_solid, is_tight
from backend.meshes.source_mesh import SourceMesh

SHEET_THICKNESS = 0.006  # of the part's size
TORN_PIECES = 8  # as many sheets may be one torn surface
MIN_REMESHED_THICKNESS = 0.02  # twice the volume by the area, of the root of the area

SHEET = "This part is a sheet; it was given a thickness of {share:.1%} of its size."
SOME_SHEETS = "Flat pieces in this part that were given a thickness: {count}."
APART = "Where this part touched itself it was pulled apart by a hundred-thousandth of its size."
TORN = "This part was too torn to be capped; its surface was built anew and lost fine detail."
TURNED = "Faces that looked to the wrong side and were turned over: {count}."
DROPPED = "Faces that were there twice or had no area, and were left out: {count}."


def close_part(
    mesh: SourceMesh, part: int, check_canceled: Callable[[], None] = lambda: None
) -> ClosedPart:
    """Make a part a closed mesh.

    What is closed stays as it is. Otherwise loops are capped and sheets thickened, with the given
    faces exactly as they were; when that gives no solid the surface is built anew.

    Parameters
    ----------
    mesh : SourceMesh
        The faces of the part alone.
    part : int
        Its number.
    check_canceled : callable
        Called between the steps, which take seconds for large parts; may raise to stop.

    Raises
    ------
    PartNotClosed
        It has no area, or nothing that manifold3d takes comes of it.
    """
    surface = _joined(mesh, part)
    if not len(surface.borders) and _encloses(surface.points, surface.faces):
        return _was_closed(mesh, surface, part)
    check_canceled()
    mended = _joined(mesh, part, surface)
    check_canceled()
    patched = _patched(mended)
    check_canceled()
    may_be_torn = patched.sheets > TORN_PIECES and patched.sheet_share > 0.5
    closed = _rebuilt(mesh, part) if may_be_torn else None
    closed = closed or _patched_part(mesh, patched, part) or _rebuilt(mesh, part)
    if closed is None:
        raise PartNotClosed(f"Part {part} with {len(mesh.faces)} faces could not be closed.")
    return closed


def _joined(mesh: SourceMesh, part: int, plain: JoinedSurface | None = None) -> JoinedSurface:
    """Join the faces, and mend them when it is known how they are without; raises PartNotClosed."""
    if not np.isfinite(mesh.vertices).all():
        raise PartNotClosed(f"Part {part} has positions that are not finite numbers.")
    surface = join(mesh, mended=plain is not None, plain=plain)
    if not face_normals(surface.points, surface.faces).any():
        raise PartNotClosed(f"Part {part} has no faces with an area.")
    return surface


def _encloses(points: Points, faces: Indices, least: float = MIN_CLOSED_THICKNESS) -> bool:
    """Whether there is a volume worth the name, and manifold3d takes the surface."""
    area = float(np.linalg.norm(face_normals(points, faces), axis=1).sum())
    volume = float(face_volumes(points, faces).sum())
    return 2 * abs(volume) > least * area**1.5 and is_solid(points, faces)


def _patched(surface: JoinedSurface) -> Patched:
    """Cap and thicken; pull apart first what would have more than two faces to an edge."""
    thickness = SHEET_THICKNESS * float(np.linalg.norm(np.ptp(surface.points, axis=0)))
    patched = patch(surface, thickness)
    if is_tight(patched.closed.points, patched.closed.faces):
        return patched
    apart = replace(patch(pull_apart(patched.closed), thickness), is_apart=True)
    return apart if is_tight(apart.closed.points, apart.closed.faces) else patched


def _was_closed(mesh: SourceMesh, surface: JoinedSurface, part: int) -> ClosedPart:
    closed = ClosedSurface.bare(surface).turned_outwards()
    notices = _face_notices(mesh, closed)
    whole = part_mesh(closed, mesh) if notices else mesh
    return ClosedPart(part, whole, ClosingMethod.WAS_CLOSED, closed.volume(), _joined_text(notices))


def _patched_part(mesh: SourceMesh, patched: Patched, part: int) -> ClosedPart | None:
    closed = patched.closed
    if not is_solid(closed.points, closed.faces) or not closed.volume() > 0:
        return None
    is_sheet = patched.sheets > 0 and patched.sheet_share > 0.5
    method = ClosingMethod.THICKENED if is_sheet else ClosingMethod.CAP
    notices = _face_notices(mesh, closed)
    if is_sheet:
        notices.insert(0, SHEET.format(share=SHEET_THICKNESS))
    elif patched.sheets:
        notices.insert(0, SOME_SHEETS.format(count=patched.sheets))
    if patched.is_apart:
        notices.append(APART)
    return ClosedPart(part, part_mesh(closed, mesh), method, closed.volume(), _joined_text(notices))


def _rebuilt(mesh: SourceMesh, part: int) -> ClosedPart | None:
    """Build the surface anew, unless hardly anything would be in it."""
    found = remesh(mesh)
    if found is None:
        return None
    points, faces = found.vertices.astype(np.float64), found.faces.astype(np.int64)
    if not _encloses(points, faces, MIN_REMESHED_THICKNESS):
        return None
    volume = float(face_volumes(points, faces).sum())
    return ClosedPart(part, found, ClosingMethod.REMESH, volume, TORN)


def _face_notices(mesh: SourceMesh, closed: ClosedSurface) -> list[str]:
    turned = int(closed.turned_faces().sum())
    dropped = len(mesh.faces) - len(closed.surface.faces)
    counted = ((TURNED, turned), (DROPPED, dropped))
    return [text.format(count=count) for text, count in counted if count]


def _joined_text(notices: list[str]) -> str | None:
    return " ".join(notices) or None
