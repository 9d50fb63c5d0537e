"""Painted views put onto the surface: baked, filled where none shows it, and laid out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.engines.paint_drawing import drawn
from backend.engines.paint_stages import Tell, counted
from backend.engines.paint_surface import PaintSurface
from backend.errors import PaintingFailed
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.texturing.cameras import WeightedView
from backend.meshes.texturing.gutters import with_gutters
from backend.meshes.texturing.surface_bodies import bodies_of
from backend.meshes.texturing.texel_fill import fill_hidden
from backend.meshes.texturing.texel_map import texels_of
from backend.meshes.texturing.textured_surface import textured_surface
from backend.meshes.texturing.view_baking import bake_views
from backend.meshes.triangle_mesh import vertex_normals

COLOURS = 3
PAINTED_METALLIC, PAINTED_ROUGHNESS = 0, 1  # channels of painted pictures
_FULL = 255
_LAID_OUT, _BAKED, _FILLED = 0.15, 0.6, 0.9


def enlarged(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Bring a picture to the size in which it is baked, with a bicubic filter as published."""
    if len(picture) == side_px:
        return picture
    image = Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.asarray(image)


def joined_materials(pictures: Sequence[NDArray[np.uint8]], views: int) -> list[NDArray[np.uint8]]:
    """Put the pictures of all materials of a view behind one another, (h, w, 3 or 6) each.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        All views of the first material come first.
    """
    return [np.concatenate(pictures[view::views], axis=2) for view in range(views)]


def baked(
    surface: PaintSurface,
    views: Sequence[WeightedView],
    pictures: Sequence[NDArray[np.uint8]],
    size_px: int,
    device: str | None,
    tell: Tell,
) -> TexturedMesh:
    """Bake painted views into a texture of the mesh.

    Parameters
    ----------
    pictures : sequence of (h, w, 3 or 6) uint8
        One for each view: its colour, and, where it was painted, metal and roughness.
    size_px : int
        Side of the texture.

    Raises
    ------
    PaintingFailed
        No view shows anything of the surface.
    """
    mesh, points = surface.mesh, surface.points
    normals = vertex_normals(mesh)
    texels = drawn(
        lambda where: texels_of(surface.layout, points, normals, size_px, device=where), device
    )
    tell(_LAID_OUT)
    told = counted(tell, _LAID_OUT, _BAKED)
    painted = drawn(
        lambda where: bake_views(
            texels, points, mesh.faces, views, pictures, device=where, tell=told
        ),
        device,
    )
    filled = fill_hidden(
        texels,
        painted,
        bodies=bodies_of(points, mesh.faces)[texels.face_ids],
        workers=cv2.getNumThreads(),
        tell=counted(tell, _BAKED, _FILLED),
    )
    if filled is None:
        raise PaintingFailed("None of the painted views shows the surface of the mesh.")
    texture = with_gutters(texels, filled)
    shine = metallic_roughness(texture[..., COLOURS:]) if texture.shape[2] > COLOURS else None
    colour = np.ascontiguousarray(texture[..., :COLOURS])
    return textured_surface(mesh, surface.layout, colour, shine)


def metallic_roughness(painted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn what the network paints into what glTF reads, (h, w, 3) both.

    Metal moves from red to blue; roughness is green in both. Red is full, which readers that
    look for occlusion there take for none.
    """
    roughness, metal = painted[..., PAINTED_ROUGHNESS], painted[..., PAINTED_METALLIC]
    return np.stack([np.full_like(metal, _FULL), roughness, metal], axis=2)
