"""A mesh, its layout and a texture put together."""

from __future__ import annotations

from backend.meshes.textured_mesh import Rgb, TexturedMesh
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals


def textured_surface(
    mesh: TriangleMesh,
    layout: SurfaceLayout,
    texture: Rgb,
    metallic_roughness: Rgb | None = None,
) -> TexturedMesh:
    """Double the vertices of a mesh along the seams of a layout, with the normals of the whole.

    Parameters
    ----------
    mesh : TriangleMesh
    layout : SurfaceLayout
        Of this mesh.
    texture : (h, w, 3) uint8
    metallic_roughness : (h, w, 3) uint8 or None
    """
    return TexturedMesh(
        mesh.vertices[layout.sources],
        vertex_normals(mesh)[layout.sources],
        layout.uv,
        layout.faces,
        texture,
        metallic_roughness,
    )
