"""The surface that is painted, and what networks are told of it from each side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.engines.paint_drawing import drawn
from backend.engines.paint_model_choice import PaintEffort
from backend.engines.paint_stages import Count, Tell, counted
from backend.engines.texture_task import TextureTask
from backend.errors import UnusableMesh
from backend.meshes.texturing.cameras import STANDARD_VIEWS, WeightedView
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.texturing.view_maps import RENDER_PX, NormalKind, ViewMaps, render_maps
from backend.meshes.texturing.view_selection import select_views
from backend.meshes.triangle_mesh import TriangleMesh

ENLARGEMENT = 4
"""Maps are rendered, and painted pictures enlarged, so many times as large; up to 2048 px."""
_SELECTION_SHARE = 0.4


@dataclass(frozen=True)
class PaintSurface:
    """A mesh, its layout, and where its vertices are in the frame of the networks.

    Parameters
    ----------
    mesh : TriangleMesh
    layout : SurfaceLayout
    points : (n, 3) float64
        Vertices of the mesh in the unit frame.
    """

    mesh: TriangleMesh
    layout: SurfaceLayout
    points: NDArray[np.float64]


def paint_surface(task: TextureTask, tell: Count) -> PaintSurface:
    """Lay the mesh out, unless its layout is to be kept.

    Raises
    ------
    UnusableMesh
        It has no area, or vertices nowhere.
    """
    mesh = task.mesh
    if not len(mesh.faces) or not np.isfinite(mesh.vertices).all():
        raise UnusableMesh("It has no faces, or vertices that are nowhere.")
    points = UnitFrame.of(mesh.vertices).to_unit(mesh.vertices)
    corners = points[mesh.faces]
    if not np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any():
        raise UnusableMesh("None of its faces has an area, so that there is nothing to colour.")
    if task.layout is not None:
        return PaintSurface(mesh, task.layout, points)
    from backend.meshes.texturing.unwrapping import unwrap

    return PaintSurface(mesh, unwrap(mesh, resolution=task.size_px, tell=tell), points)


def chosen_views(
    surface: PaintSurface, effort: PaintEffort, device: str | None, tell: Tell
) -> tuple[WeightedView, ...]:
    """Take the six standard views, and those that show much more where more are asked for."""
    if effort.views <= len(STANDARD_VIEWS):
        return STANDARD_VIEWS
    points, faces = surface.points, surface.mesh.faces
    told = counted(tell, 0, _SELECTION_SHARE)
    return drawn(
        lambda where: select_views(points, faces, effort.views, device=where, tell=told), device
    )


def view_maps(
    surface: PaintSurface,
    views: tuple[WeightedView, ...],
    effort: PaintEffort,
    device: str | None,
    tell: Tell,
) -> list[ViewMaps]:
    """Render what the networks are told of each view, as they saw it in training."""
    kind = NormalKind.FLAT if effort.is_pbr else NormalKind.SMOOTH
    split = surface.points[surface.layout.sources]
    cameras = [view.camera for view in views]
    return drawn(
        lambda where: render_maps(
            split,
            surface.layout.faces,
            cameras,
            kind,
            size_px=effort.view_px,
            render_px=enlarged_px(effort.view_px),
            device=where,
            tell=counted(tell, _SELECTION_SHARE, 1),
        ),
        device,
    )


def enlarged_px(view_px: int) -> int:
    """Return the side of what is rendered or baked for pictures of a size.

    >>> enlarged_px(512), enlarged_px(768), enlarged_px(256)
    (2048, 2048, 1024)
    """
    return min(ENLARGEMENT * view_px, RENDER_PX)
