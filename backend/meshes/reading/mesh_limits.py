"""How much of a mesh is read before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MeshLimits:
    """Limits of reading.

    Parameters
    ----------
    faces : int
        Most triangles, all instances of the scene together.
    components : int
        Most separate pieces, vertices in one place counted as one.
    nodes : int
        Most nodes of a scene.
    depth : int
        Most nodes above one another.
    materials : int
        Most materials in use.
    texture_side_px, texture_megapixels : int
        Largest texture; and all textures together.
    texture_mb : int
        Most that all textures take as they are kept: PNG or JPEG.
    coordinate : float
        Largest absolute coordinate; float32 can still hold its cube.
    """

    faces: int = 2_000_000
    components: int = 50_000
    nodes: int = 200_000
    depth: int = 256
    materials: int = 4096
    texture_side_px: int = 16_384
    texture_megapixels: int = 300
    texture_mb: int = 256
    coordinate: float = 1e12

    @property
    def vertices(self) -> int:
        """Most vertices: each face has its own."""
        return 3 * self.faces
