"""Meshes coloured by a picture of their front."""

from __future__ import annotations

from backend.catalog import BackSide
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.texturing.textured_surface import textured_surface
from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.texturing.unseen_colour.painting import paint
from backend.meshes.texturing.unseen_colour.picture_view import GivenPicture


def pictured(mesh, rgb, mask, frame, size_px, back_side=BackSide.AUTO) -> TexturedMesh:
    layout = two_sided_layout(mesh)
    given = GivenPicture(rgb, mask, frame)
    painting = paint(mesh, layout, [given], size_px, back_side, is_inflated=True)
    return textured_surface(mesh, layout, painting.texture)
