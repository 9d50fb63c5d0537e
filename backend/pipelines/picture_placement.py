"""Pictures of an object that somebody laid beside a mesh: cut out, and placed on the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.catalog import CutOutParams, MeshFront, OtherView
from backend.engines.background_task import CutOut
from backend.engines.registry import EngineRegistry
from backend.engines.texture_task import FRONT_DEG, ReferencePicture
from backend.meshes.outline_fit import fit_outline, turned_to_front
from backend.meshes.picture import Picture
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines.cut_out import FRONT, find_object
from backend.progress import StageProgress

# From where a picture was taken: the left side of an object that faces +Z is at +X.
AZIMUTHS_DEG = {
    FRONT: FRONT_DEG,
    OtherView.LEFT.value: 90.0,
    OtherView.BACK.value: 180.0,
    OtherView.RIGHT.value: 270.0,
}
AGREES_FROM = 0.7
MUCH_BETTER = 0.15


@dataclass(frozen=True)
class SidePicture:
    """A picture and where its object is.

    Parameters
    ----------
    side : str
        One of ``AZIMUTHS_DEG``.
    picture : Picture
        At full size.
    found : CutOut
        At working size.
    """

    side: str
    picture: Picture
    found: CutOut


@dataclass(frozen=True)
class Placed:
    """A picture on the mesh, and how well its outline agrees with that of the mesh."""

    reference: ReferencePicture
    overlap: float


def other_sides(
    inputs: Mapping[str, Path],
    params: CutOutParams,
    working_px: int,
    registry: EngineRegistry,
    progress: StageProgress,
) -> list[SidePicture]:
    """Find the object in pictures from other sides, where some were sent; raises NoForeground."""
    sides = []
    for side in (view.value for view in OtherView if view.value in inputs):
        picture = Picture.read(inputs[side])
        found = find_object(picture.scaled_to(working_px), {}, params, registry, progress)
        sides.append(SidePicture(side, picture, found))
    return sides


def placed_on(
    mesh: TriangleMesh, one: SidePicture, front: MeshFront, progress: StageProgress
) -> Placed:
    """Lay a picture over the side of a mesh that it shows, and warn where the two disagree.

    Parameters
    ----------
    mesh : TriangleMesh
        Its front faces +Z.
    front : MeshFront
        Where it faced in the file; only for words.
    """
    azimuth_deg = AZIMUTHS_DEG[one.side]
    fit = fit_outline(turned_to_front(mesh, azimuth_deg), one.found.mask)
    if fit.overlap < AGREES_FROM:
        progress.warn(_disagreement(mesh, one, fit.overlap, front))
    reference = ReferencePicture(one.picture, one.found.mask, fit.frame, azimuth_deg)
    return Placed(reference, fit.overlap)


def _disagreement(mesh: TriangleMesh, one: SidePicture, overlap: float, front: MeshFront) -> str:
    """Say that a picture does not show the side it should, and which other one it may show."""
    told = (
        f"The outlines of the mesh from the {one.side} and of the object in that picture agree by "
        f"{100 * overlap:.0f} % only: colours may lie beside where they belong."
    )
    others = {
        side: fit_outline(turned_to_front(mesh, azimuth_deg), one.found.mask).overlap
        for side, azimuth_deg in AZIMUTHS_DEG.items()
        if side != one.side
    }
    side = max(others, key=lambda name: others[name])
    if others[side] < overlap + MUCH_BETTER:
        return told
    told = (
        f"{told} The picture agrees better ({100 * others[side]:.0f} %) with the mesh seen from "
        f"the {side}."
    )
    if one.side != FRONT:
        return told
    better = _facing(front.azimuth_deg + AZIMUTHS_DEG[side]).upper()
    return f"{told} Its front was taken to face {front.upper()}; choose {better} if it faces there."


def _facing(azimuth_deg: float) -> MeshFront:
    return next(one for one in MeshFront if one.azimuth_deg == azimuth_deg % 360)
