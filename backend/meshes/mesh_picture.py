"""Makes a mesh of several materials fit to be drawn: one texture, whatever it had."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.shading_normals import shading_normals
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh

TEXTURE_PX = 1024
MOST_COLORED_FACES = 500_000
MOST_TILES = 4
NEAR_EDGE = 1e-4  # of the texture: coordinates so little beyond its edge are rounding
GAMMA = 1 / 2.2


def pictured(mesh: SourceMesh) -> TriangleMesh | TexturedMesh:
    """Return something to draw: with textures, the colour of each face, or bare without a look."""
    if not _has_look(mesh) or len(mesh.faces) > MOST_COLORED_FACES:
        return TriangleMesh(mesh.vertices, mesh.faces)
    kinds = np.unique(mesh.face_materials)
    if mesh.uvs is not None and mesh.colors is None and len(kinds) <= MOST_TILES:
        tiles = np.concatenate([_tile(mesh.materials[kind]) for kind in kinds])
        return _drawn(mesh, _on_tiles(mesh, mesh.uvs, kinds), tiles)
    count = len(mesh.faces)
    middle = np.repeat((np.arange(count) + 0.5) / count, 3)
    uv = np.stack([middle, np.full(3 * count, 0.5)], axis=1)
    return _drawn(mesh, uv, _face_colors(mesh)[None])


def _drawn(mesh: SourceMesh, uv: NDArray[np.float64], texture: NDArray[np.uint8]) -> TexturedMesh:
    """Give each corner a vertex of its own, with texture coordinates, (3 m, 2)."""
    corners = mesh.faces.reshape(-1)
    return TexturedMesh(
        mesh.vertices[corners],
        shading_normals(mesh.vertices, mesh.faces)[corners],
        uv.astype(np.float32),
        np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        texture,
    )


def _tile(look: Material) -> NDArray[np.uint8]:
    """Draw a material as a square picture, (TEXTURE_PX, TEXTURE_PX, 3)."""
    tint = _tint(look)
    picture = _decoded(look)
    if picture is None:
        picture = np.ones((TEXTURE_PX, TEXTURE_PX, 3))
    return np.rint(np.clip(picture * tint, 0, 1) * 255).astype(np.uint8)


def _on_tiles(
    mesh: SourceMesh, given: NDArray[np.float32], kinds: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Find the corners of faces on tiles below one another, (3 m, 2) from the bottom left.

    Where a texture repeats within a face, the face gets the colour of its middle.
    """
    uvs = np.nan_to_num(given[mesh.faces].astype(np.float64))
    uvs -= np.floor(uvs.min(axis=1, keepdims=True) + NEAR_EDGE)
    repeats = (uvs.max(axis=1) > 1 + NEAR_EDGE).any(axis=1)
    uvs[repeats] = uvs[repeats].mean(axis=1, keepdims=True) % 1.0
    uvs = np.clip(uvs, 0.5 / TEXTURE_PX, 1 - 0.5 / TEXTURE_PX)
    tiles = np.searchsorted(kinds, mesh.face_materials)[:, None]
    uvs[:, :, 1] = 1 - (tiles + uvs[:, :, 1]) / len(kinds)
    return uvs.reshape(-1, 2)


def _has_look(mesh: SourceMesh) -> bool:
    used = [mesh.materials[kind] for kind in np.unique(mesh.face_materials)]
    white = all(look.base_color[:3] == (1.0, 1.0, 1.0) and not look.texture for look in used)
    return not white or mesh.colors is not None


def _face_colors(mesh: SourceMesh) -> NDArray[np.uint8]:
    """Colour of the middle of each face, (m, 3) uint8 sRGB."""
    colors = np.ones((len(mesh.faces), 3))
    for kind in np.unique(mesh.face_materials):
        chosen = mesh.face_materials == kind
        colors[chosen] = _of_material(mesh, mesh.materials[kind], chosen)
    if mesh.colors is not None:
        colors *= mesh.colors[mesh.faces, :3].mean(axis=1) / 255
    return np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8)


def _of_material(
    mesh: SourceMesh, look: Material, chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    tint = _tint(look)
    picture = None if mesh.uvs is None else _decoded(look)
    if picture is None or mesh.uvs is None:
        return tint
    uvs = np.nan_to_num(mesh.uvs[mesh.faces[chosen]].mean(axis=1).astype(np.float64)) % 1.0
    x, y = np.minimum((uvs * TEXTURE_PX).astype(np.int64), TEXTURE_PX - 1).T
    return np.asarray(tint * picture[y, x])


def _tint(look: Material) -> NDArray[np.float64]:
    return np.asarray(np.clip(np.array(look.base_color[:3]), 0, 1) ** GAMMA)


def _decoded(look: Material) -> NDArray[np.float64] | None:
    """Decode a texture as (TEXTURE_PX, TEXTURE_PX, 3), 0 to 1; None where there is none."""
    if look.texture is None:
        return None
    try:
        with Image.open(io.BytesIO(look.texture.data)) as image:
            image.draft("RGB", (TEXTURE_PX, TEXTURE_PX))
            small = image.convert("RGB").resize((TEXTURE_PX, TEXTURE_PX), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(small, dtype=np.float64) / 255
