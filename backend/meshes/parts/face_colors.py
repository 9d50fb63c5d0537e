"""What colour each face has, as people see differences of colours."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from backend.meshes.parts.analysis import Analysis
from backend.meshes.parts.welding import Welded
from backend.meshes.source_mesh import Material, SourceMesh

TEXTURE_PX = 512
"""Textures are looked at in this size: fine grain is no part of its own."""
MOST_SAMPLES = 100_000
LEAST_RANGE = 0.02
GAMMA = 1 / 2.2
"""Turns linear colours into those of pictures, nearly."""


def analysis_colors(
    mesh: SourceMesh, welded: Welded, analysis: Analysis
) -> NDArray[np.float64] | None:
    """Find the colour of each face that is looked at.

    Returns
    -------
    (m, 3) float64 or None
        CIE Lab; None where all faces look the same.
    """
    if _is_of_one_color(mesh):
        return None
    colors = face_srgb(mesh)[welded.source_faces]
    if np.ptp(colors, axis=0).max() < LEAST_RANGE:
        return None
    if analysis.parents is not None:
        return np.asarray(rgb2lab(colors[analysis.parents]))
    chosen = np.arange(0, len(colors), len(colors) // MOST_SAMPLES + 1)
    centres = welded.vertices[welded.faces[chosen]].mean(axis=1)
    count = len(analysis.centres)
    nearest = cKDTree(analysis.centres).query(centres)[1]
    number = np.bincount(nearest, minlength=count)
    sums = [np.bincount(nearest, colors[chosen, k], count) for k in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(number, 1)[:, None]
    unseen = np.flatnonzero(number == 0)
    if len(unseen):
        means[unseen] = colors[chosen[cKDTree(centres).query(analysis.centres[unseen])[1]]]
    return np.asarray(rgb2lab(means))


def _is_of_one_color(mesh: SourceMesh) -> bool:
    """Whether a look at the materials is enough."""
    tints = {material.base_color[:3] for material in mesh.materials}
    textured = any(material.texture is not None for material in mesh.materials)
    return mesh.colors is None and not textured and len(tints) == 1


def face_srgb(mesh: SourceMesh) -> NDArray[np.float64]:
    """Find the colour of the middle of each face.

    Returns
    -------
    (m, 3) float64
        Red, green and blue as pictures have them, from 0 to 1.
    """
    colors = np.ones((len(mesh.faces), 3))
    for number, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(mesh.face_materials == number)
        if len(chosen):
            colors[chosen] = _of_material(mesh, material, chosen)
    if mesh.colors is not None:
        colors *= mesh.colors[mesh.faces, :3].mean(axis=1) / 255
    return colors


def _of_material(
    mesh: SourceMesh, material: Material, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    tint = np.clip(np.array(material.base_color[:3]), 0, 1) ** GAMMA
    picture = _small_picture(material)
    if picture is None or mesh.uvs is None:
        return np.broadcast_to(tint, (len(chosen), 3))
    uvs = np.nan_to_num(mesh.uvs[mesh.faces[chosen]].mean(axis=1).astype(np.float64)) % 1.0
    height, width = picture.shape[:2]
    x = np.minimum((uvs[:, 0] * width).astype(np.int64), width - 1)
    y = np.minimum((uvs[:, 1] * height).astype(np.int64), height - 1)
    return np.asarray(tint * picture[y, x])


def _small_picture(material: Material) -> NDArray[np.float64] | None:
    """Decode the texture from 0 to 1, (h, w, 3); None where there is none that can be read."""
    if material.texture is None:
        return None
    try:
        with Image.open(io.BytesIO(material.texture.data)) as image:
            image.draft("RGB", (TEXTURE_PX, TEXTURE_PX))
            small = image.convert("RGB")
            small.thumbnail((TEXTURE_PX, TEXTURE_PX), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(small, dtype=np.float64) / 255
