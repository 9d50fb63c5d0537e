"""A texture for a whole surface from pictures of some of it.

Source
------
Symmetry from the surface itself, colours that spread harmonically over it, the picture shown
through on the back where these agree with it, and completed from the rest of itself elsewhere;
measured in ``bench/texture_projection.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.catalog import BackSide
from backend.meshes.texturing.painted_atlas import painted_atlas
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_map import TexelBands, TexelMap
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.texturing.unseen_colour.completed_back import complete_back
from backend.meshes.texturing.unseen_colour.finer_surface import finer
from backend.meshes.texturing.unseen_colour.mirror_plane import MirrorPlane, find_mirror_plane
from backend.meshes.texturing.unseen_colour.node_colours import (
    NodeColours,
    Surroundings,
    colour_nodes,
)
from backend.meshes.texturing.unseen_colour.one_exposure import exposure_gains
from backend.meshes.texturing.unseen_colour.picture_view import Facing, GivenPicture, PictureView
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph
from backend.meshes.texturing.unseen_colour.texel_colours import colour_texels, node_table
from backend.meshes.triangle_mesh import TriangleMesh

STEPS = 5
EXACT_FACING = Facing(0.05, 0.2)
"""On meshes made from the outline in the picture, which meet it to the pixel."""

Tell = Callable[[int, int], None]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class AreaShares:
    """Where the colours of a surface come from, as shares of its area.

    Parameters
    ----------
    seen, reflected, through, filled : float
        Together 1: in a picture, in its mirror image, in the picture before it, spread from
        neighbours.
    """

    seen: float
    reflected: float
    through: float
    filled: float


@dataclass(frozen=True)
class Painting:
    """A texture and how it came about.

    Parameters
    ----------
    texture : (size, size, 3) uint8
        Gutters filled.
    plane : MirrorPlane or None
        The best one that was tried, accepted or not.
    shares : AreaShares
    gains : (k, 3) float64
        What red, green and blue of each picture were multiplied by to go with the first.
    """

    texture: NDArray[np.uint8]
    plane: MirrorPlane | None
    shares: AreaShares
    gains: Values

    @property
    def shows_nothing(self) -> bool:
        """Whether no picture shows any of the mesh: all of it has one colour."""
        return self.shares.seen == 0


def paint(
    mesh: TriangleMesh,
    layout: SurfaceLayout,
    pictures: Sequence[GivenPicture],
    size_px: int,
    back_side: BackSide = BackSide.AUTO,
    *,
    is_inflated: bool = False,
    tell: Tell | None = None,
) -> Painting:
    """Colour a mesh by pictures of it.

    Parameters
    ----------
    mesh : TriangleMesh
        In any unit; +Y is up.
    layout : SurfaceLayout
        Of this mesh.
    pictures : sequence of GivenPicture
        At least one; the front comes first.
    size_px : int
        Side of the texture.
    back_side : BackSide
    is_inflated : bool
        The mesh was made from the outline in the picture; its back says nothing.
    tell : callable or None
        Takes steps done and steps in all.

    Returns
    -------
    Painting
        In the mean colour of the object where no picture shows any of the mesh.
    """
    tell = tell or _silent
    tell(0, STEPS)
    mesh, layout = _of_faces(mesh, layout)
    fine_mesh, fine_layout = finer(mesh, layout)
    frame = UnitFrame.of(mesh.vertices)
    points = frame.to_unit(fine_mesh.vertices)
    graph = SurfaceGraph.of(fine_mesh, points)
    tell(1, STEPS)
    facing = EXACT_FACING if is_inflated else Facing()
    views = [PictureView(one, mesh, 1 / frame.scale, facing) for one in pictures]
    gains = exposure_gains(views, frame.to_mesh(graph.points), graph.normals, graph.spacing)
    views = [view.multiplied(gain) for view, gain in zip(views, gains, strict=True)]
    tell(2, STEPS)
    plane = _plane(graph, pictures, back_side, is_inflated=is_inflated)
    believed = plane if plane is not None and plane.is_accepted else None
    around = Surroundings(graph, frame, views, believed, has_insides=not is_inflated)
    nodes = colour_nodes(around, back_side)
    tell(3, STEPS)
    if nodes is None:
        return Painting(_mean_colour(views, size_px), plane, AreaShares(0, 0, 0, 1), gains)
    texture = _texture(around, nodes, back_side, fine_mesh, fine_layout, size_px)
    tell(STEPS, STEPS)
    return Painting(texture, plane, _shares(graph, nodes, fine_mesh, points), gains)


def _of_faces(mesh: TriangleMesh, layout: SurfaceLayout) -> tuple[TriangleMesh, SurfaceLayout]:
    """Leave out vertices that no face has: they are no part of the surface."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    if len(used) == len(mesh.vertices):
        return mesh, layout
    number = np.zeros(len(mesh.vertices), dtype=np.int64)
    number[used] = np.arange(len(used))
    kept, layout_faces = np.unique(layout.faces, return_inverse=True)
    compact = SurfaceLayout(
        number[layout.sources[kept]],
        layout.uv[kept],
        layout_faces.reshape(-1, 3).astype(np.int32),
    )
    return TriangleMesh(mesh.vertices[used], faces.reshape(-1, 3).astype(np.int32)), compact


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def _plane(
    graph: SurfaceGraph,
    pictures: Sequence[GivenPicture],
    back_side: BackSide,
    *,
    is_inflated: bool,
) -> MirrorPlane | None:
    if back_side is not BackSide.AUTO:
        return None
    views_deg = [picture.azimuth_deg for picture in pictures]
    return find_mirror_plane(graph.points, graph.spacing, views_deg, is_inflated=is_inflated)


def _texture(
    around: Surroundings,
    nodes: NodeColours,
    back_side: BackSide,
    mesh: TriangleMesh,
    layout: SurfaceLayout,
    size_px: int,
) -> NDArray[np.uint8]:
    points = around.frame.to_unit(mesh.vertices)
    normals = around.graph.to_vertices(around.graph.normals)
    back = complete_back(around, nodes)
    table = node_table(around, nodes, back)

    def coloured(texels: TexelMap) -> NDArray[np.float32]:
        there = texels.interpolate(table, mesh.faces)
        return colour_texels(around, nodes.islands, back, back_side, texels, there)

    return painted_atlas(TexelBands(layout, points, normals, size_px), coloured)


def _mean_colour(views: Sequence[PictureView], size_px: int) -> NDArray[np.uint8]:
    front = views[0]
    inside = front.core if front.core.any() else np.ones_like(front.core)
    mean = np.round(front.colours[inside].mean(axis=0)).astype(np.uint8)
    return np.broadcast_to(mean, (size_px, size_px, 3)).copy()


def _shares(
    graph: SurfaceGraph, nodes: NodeColours, mesh: TriangleMesh, points: Values
) -> AreaShares:
    a, b, c = (points[mesh.faces[:, corner]] for corner in range(3))
    thirds = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    areas = np.bincount(
        graph.node_of[mesh.faces].reshape(-1), np.repeat(thirds, 3), len(graph.points)
    )
    total = max(float(areas.sum()), 1e-300)
    seen, reflected, filled = (
        float(areas[chosen].sum()) / total for chosen in (nodes.seen, nodes.reflected, nodes.filled)
    )
    return AreaShares(seen, reflected, max(0.0, 1 - seen - reflected - filled), filled)
