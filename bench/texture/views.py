"""Pictures of a surface whose colours are known, and the surface ready for baking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import STANDARD_VIEWS, OrthographicCamera, ParallelCamera
from backend.meshes.texturing.fragments import interpolate_covered
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_map import TexelMap, texels_of
from backend.meshes.texturing.view_baking import PaintedTexels, bake_views
from backend.meshes.texturing.view_maps import NormalKind
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from bench.parity.published_bake import (
    BakedTexture,
    PublishedSurface,
    Values,
    looked_up,
    merged,
    seen_view,
    splatted,
)
from bench.texture.subjects import true_colours

PIXELS_PER_ERODED = 512


@dataclass(frozen=True)
class LaidOutSurface:
    """A mesh in the unit frame and its layout.

    Parameters
    ----------
    mesh : TriangleMesh
    layout : SurfaceLayout
    """

    mesh: TriangleMesh
    layout: SurfaceLayout

    @cached_property
    def split(self) -> NDArray[np.float32]:
        """Vertices doubled along seams, (n, 3)."""
        return self.mesh.vertices[self.layout.sources]

    def texels(self, size_px: int) -> TexelMap:
        """Return where the texels of a texture lie."""
        return texels_of(self.layout, self.mesh.vertices, vertex_normals(self.mesh), size_px)

    def published(self, size_px: int) -> PublishedSurface:
        """Return it as the published way of baking takes it."""
        return PublishedSurface(self.split, self.layout.faces, self.layout.uv, size_px)


def true_picture(
    mesh: TriangleMesh, camera: ParallelCamera, side_px: int, rule: PixelRule
) -> Values:
    """Render the known colours, white beside the surface, (side, side, 3) float32."""
    screen = camera.screen(mesh.vertices)
    fragments = rasterise(screen, mesh.faces, side_px, side_px, rule)
    picture = np.ones((side_px, side_px, 3), dtype=np.float32)
    places = interpolate_covered(mesh.vertices, mesh.faces, fragments)
    picture[fragments.covered] = true_colours(places)
    return picture


def standard_pictures(mesh: TriangleMesh, side_px: int, rule: PixelRule) -> list[Values]:
    """Render the six standard views."""
    return [true_picture(mesh, view.camera, side_px, rule) for view in STANDARD_VIEWS]


def our_bake(surface: LaidOutSurface, texels: TexelMap, pictures: list[Values]) -> PaintedTexels:
    """Bake as the product does."""
    mesh = surface.mesh
    return bake_views(texels, mesh.vertices, mesh.faces, STANDARD_VIEWS, pictures)


def published_bake(
    surface: PublishedSurface, pictures: list[Values], kind: NormalKind
) -> tuple[Values, NDArray[np.bool_]]:
    """Bake as published, view by view: splatting (smooth normals) or looking up (flat ones)."""

    def baked(number: int) -> BakedTexture:
        view, picture = STANDARD_VIEWS[number], pictures[number]
        if not isinstance(view.camera, OrthographicCamera):
            raise TypeError("the standard views are seen by cameras that turn about the object")
        erosion_px = max(1, len(picture) // PIXELS_PER_ERODED)
        seen = seen_view(surface, view.camera, len(picture), kind, erosion_px)
        if kind is NormalKind.SMOOTH:
            return splatted(surface, seen, picture, view.weight)
        return looked_up(surface, view.camera, seen, picture, view.weight)

    return merged(baked(number) for number in range(len(pictures)))
