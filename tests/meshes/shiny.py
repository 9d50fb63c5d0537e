"""Textured meshes with maps of roughness and metal."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from tests.meshes.source_shapes import png, textured_box

ROUGH, METAL = 51, 204


def shine_png(side: int = 8) -> EncodedImage:
    """A map of one roughness and one metal."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (0, ROUGH, METAL)).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png")


def shiny_box() -> SourceMesh:
    """A cube with sides of their own; all but the lid has a texture and shines by a map."""
    paint = Material("paint", metallic=1.0, texture=png(), metallic_roughness=shine_png())
    box = textured_box()
    return replace(box, materials=(paint, box.materials[1]))


def painted(mesh: TriangleMesh, shine: bool = True, side: int = 16) -> TexturedMesh:
    """Give every face a cell of its own in a texture; colour goes from left to right."""
    cells = int(np.ceil(np.sqrt(len(mesh.faces))))
    row, column = np.divmod(np.arange(len(mesh.faces)), cells)
    corner = np.array([[0.1, 0.1], [0.8, 0.1], [0.1, 0.8]])
    uv = (np.stack([column, row], axis=1)[:, None] + corner) / cells
    height, width = side, 2 * side
    texture = np.zeros((height, width, 3), dtype=np.uint8)
    texture[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    map_ = np.zeros_like(texture)
    map_[..., 1], map_[..., 2] = ROUGH, METAL
    corners = mesh.faces.reshape(-1)
    return TexturedMesh(
        mesh.vertices[corners],
        vertex_normals(mesh)[corners],
        uv.reshape(-1, 2).astype(np.float32),
        np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        texture,
        map_ if shine else None,
    )
