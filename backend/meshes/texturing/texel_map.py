"""Where on the surface each texel of an atlas lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.fragments import interpolate_covered, interpolate_on_faces
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.surface_layout import SurfaceLayout


@dataclass(frozen=True)
class TexelMap:
    """The texels whose centres lie in a face, row by row.

    Parameters
    ----------
    size : int
        Texels a side of the atlas.
    rows, columns : (k,) int32
        Place in the atlas; row 0 is the top.
    positions : (k, 3) float32
        In units of the vertices that it was made of.
    normals : (k, 3) float32
        Of length 1, interpolated.
    face_ids : (k,) int32
        Number of the face, from 0.
    barycentric : (k, 3) float32
        Weights of its corners.
    """

    size: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    positions: NDArray[np.float32]
    normals: NDArray[np.float32]
    face_ids: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Which texels of the atlas these are, (size, size) bool."""
        covered = np.zeros((self.size, self.size), dtype=np.bool_)
        covered[self.rows, self.columns] = True
        return covered

    def interpolate(
        self, values: NDArray[np.floating], faces: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Interpolate values of the mesh's vertices, (n, c) to (k, c) float32."""
        return interpolate_on_faces(values, faces, self.face_ids, self.barycentric)

    def as_picture(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay values of the texels out in the atlas, (k, c) to (size, size, c); 0 elsewhere."""
        picture = np.zeros((self.size, self.size, values.shape[1]), dtype=np.float32)
        picture[self.rows, self.columns] = values
        return picture


def texels_of(
    layout: SurfaceLayout,
    vertices: NDArray[np.floating],
    normals: NDArray[np.floating],
    size: int,
    *,
    device: str | None = None,
) -> TexelMap:
    """Find the covered texels of an atlas.

    Parameters
    ----------
    layout : SurfaceLayout
    vertices : (n, 3) float
        Of the mesh that was laid out, in any frame.
    normals : (n, 3) float
        Of its vertices.
    size : int
        Texels a side.
    device : str or None
        Where to rasterise; the processor by default.
    """
    fragments = rasterise(
        layout_screen(layout.uv), layout.faces, size, size, PixelRule.CENTRED, device=device
    )
    rows, columns = (line.astype(np.int32) for line in np.nonzero(fragments.face_ids))
    covered = fragments.covered
    both = np.concatenate([vertices, normals], axis=1)
    there = interpolate_covered(both, layout.sources[layout.faces], fragments)
    return TexelMap(
        size,
        rows,
        columns,
        np.ascontiguousarray(there[:, :3]),
        _unit(there[:, 3:]),
        fragments.face_ids[covered] - 1,
        fragments.barycentric[covered],
    )


def layout_screen(uv: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return texture coordinates as places on a screen of depth 0, (n, 3) float64."""
    places = np.asarray(uv, dtype=np.float64) * [2.0, -2.0] + [-1.0, 1.0]
    return np.concatenate([places, np.zeros((len(places), 1))], axis=1)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, z = vectors.T
    lengths = np.sqrt(x * x + y * y + z * z)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12))[:, None])
