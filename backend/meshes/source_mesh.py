"""A mesh as somebody gave it: its own vertices, texture coordinates and materials, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from backend.meshes.triangle_mesh import TriangleMesh


@dataclass(frozen=True)
class EncodedImage:
    """A picture as a file holds it.

    Parameters
    ----------
    data : bytes
        Encoded.
    mime : str
        ``image/png`` or ``image/jpeg``.
    """

    data: bytes
    mime: str


class AlphaMode(StrEnum):
    """What the opacity of a texture does, by its name in glTF."""

    OPAQUE = "OPAQUE"
    MASK = "MASK"
    BLEND = "BLEND"


@dataclass(frozen=True)
class Material:
    """How faces look (glTF's metallic-roughness model).

    Parameters
    ----------
    base_color : tuple of float
        Red, green, blue (linear) and opacity, from 0 to 1; multiplies the texture.
    texture : EncodedImage or None
        Base colour by texture coordinates.
    alpha_mode : AlphaMode
        Whether it is seen through; leaves are often cut out by their texture (MASK).
    alpha_cutoff : float
        Opacity below which it is cut out.
    metallic_roughness : EncodedImage or None
        By the same texture coordinates: green multiplies the roughness, blue the metal.
    """

    name: str = "material"
    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    metallic: float = 0.0
    roughness: float = 1.0
    texture: EncodedImage | None = None
    is_double_sided: bool = False
    alpha_mode: AlphaMode = AlphaMode.OPAQUE
    alpha_cutoff: float = 0.5
    metallic_roughness: EncodedImage | None = None


@dataclass(frozen=True)
class SourceMesh:
    """A triangle mesh that keeps what it was given with.

    Vertices may lie in one place several times, as they do along seams of a texture; ``welded``
    joins them. Nothing here changes the order of faces, so that a label per face holds for all.

    Parameters
    ----------
    vertices : (n, 3) float32
        Positions; +Y is up.
    faces : (m, 3) int32
        Corners, counter-clockwise seen from outside.
    uvs : (n, 2) float32 or None
        Texture coordinates as glTF has them: (0, 0) is the top left corner.
    colors : (n, 4) uint8 or None
        Colours of vertices (sRGB and opacity), as scans have them.
    materials : tuple of Material
        At least one.
    face_materials : (m,) int16
        Which of them each face has.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uvs: NDArray[np.float32] | None
    colors: NDArray[np.uint8] | None
    materials: tuple[Material, ...]
    face_materials: NDArray[np.int16]

    @classmethod
    def plain(cls, mesh: TriangleMesh) -> SourceMesh:
        """Give a bare mesh one white material."""
        kinds = np.zeros(len(mesh.faces), dtype=np.int16)
        return cls(mesh.vertices, mesh.faces, None, None, (Material(),), kinds)

    def selected(self, chosen: NDArray[np.bool_]) -> SourceMesh:
        """Keep some faces with all they have, and the vertices they use.

        Parameters
        ----------
        chosen : (m,) bool
            Which faces to keep.
        """
        used, compact = np.unique(self.faces[chosen], return_inverse=True)
        return SourceMesh(
            self.vertices[used],
            compact.reshape(-1, 3).astype(np.int32),
            None if self.uvs is None else self.uvs[used],
            None if self.colors is None else self.colors[used],
            self.materials,
            self.face_materials[chosen],
        )
