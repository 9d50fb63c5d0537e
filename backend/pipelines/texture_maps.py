"""The maps of a texture as pictures of their own, for looking at them and for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.textured_mesh import METALLIC_CHANNEL, ROUGHNESS_CHANNEL, TexturedMesh
from backend.pipelines.pipeline import OutputFile

ALBEDO, METALLIC, ROUGHNESS, NORMAL = "albedo", "metallic", "roughness", "normal"
NORMAL_PX = 2048
NOWHERE = 128  # a normal of no length, where the texture shows no face


def map_files(textured: TexturedMesh, out_dir: Path) -> list[OutputFile]:
    """Name the files of the maps that a mesh has."""
    roles = [ALBEDO, NORMAL]
    if textured.metallic_roughness is not None:
        roles[1:1] = [METALLIC, ROUGHNESS]
    return [OutputFile(f"{role}.png", "png", role, out_dir / f"{role}.png") for role in roles]


def write_map(textured: TexturedMesh, file: OutputFile, compression: int) -> None:
    """Write one of the maps as PNG."""
    picture = np.ascontiguousarray(_map_of(textured, file.role))
    Image.fromarray(picture).save(file.path, compress_level=compression)


def normal_map(textured: TexturedMesh) -> NDArray[np.uint8]:
    """Return where each texel faces, in the axes of the model, (h, w, 3) uint8.

    Red, green and blue are x, y and z from -1 to 1. Larger sides than 2048 are left out: normals
    are interpolated between vertices, so that more pixels show no more.
    """
    from backend.meshes.texturing.fragments import interpolate_covered
    from backend.meshes.texturing.rasteriser import PixelRule, rasterise

    height, width = (min(side, NORMAL_PX) for side in textured.texture.shape[:2])
    x, y = 2.0 * textured.uv[:, 0] - 1, 1 - 2.0 * textured.uv[:, 1]
    screen = np.stack([x, y, np.zeros_like(x)], axis=1)
    found = rasterise(screen, textured.faces, height, width, PixelRule.CENTRED)
    normals = interpolate_covered(textured.normals, textured.faces, found)
    lengths = np.sqrt(np.einsum("kc,kc->k", normals, normals))[:, None]
    normals /= np.where(lengths > 0, lengths, np.float32(1))
    pixels = np.full((height * width, 3), NOWHERE, dtype=np.uint8)
    pixels[np.flatnonzero(found.face_ids)] = np.rint((normals + 1) * np.float32(127.5))
    return pixels.reshape(height, width, 3)


def _map_of(textured: TexturedMesh, role: str) -> NDArray[np.uint8]:
    if role == NORMAL:
        return normal_map(textured)
    shine = textured.metallic_roughness
    if role == ALBEDO or shine is None:
        return textured.texture
    channel = METALLIC_CHANNEL if role == METALLIC else ROUGHNESS_CHANNEL
    picture: NDArray[np.uint8] = shine[..., channel]
    return picture
