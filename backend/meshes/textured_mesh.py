"""A mesh with a texture, as it is written into files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.triangle_mesh import Normals

Rgb = NDArray[np.uint8]
ROUGHNESS_CHANNEL, METALLIC_CHANNEL = 1, 2  # of a map of roughness and metal, as in glTF


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh split along the seams of its texture.

    Parameters
    ----------
    vertices : (n, 3) float32
        Positions; vertices on a seam appear several times, bit for bit alike.
    normals : (n, 3) float32
        Unit normals of the welded mesh.
    uv : (n, 2) float32
        Texture coordinates, origin at the bottom left.
    faces : (m, 3) int32
        Corners.
    texture : (h, w, 3) uint8
        Base colour.
    metallic_roughness : (h, w, 3) uint8 or None
        As glTF has it: green is roughness, blue is metallic.
    is_double_sided : bool
        Whether faces are seen from behind too.
    """

    vertices: NDArray[np.float32]
    normals: Normals
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]
    texture: Rgb
    metallic_roughness: Rgb | None = None
    is_double_sided: bool = False
