"""Where on the surface each texel of an atlas lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.fragments import interpolate_on_faces
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.surface_layout import SurfaceLayout

TEXELS_OF_BAND = 1 << 18  # few enough for memory to be used again and again


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
    return TexelBands(layout, vertices, normals, size, rows=size, device=device).band(0)


class TexelBands:
    """The texels of an atlas, some rows at a time: together they take much memory.

    Parameters
    ----------
    layout, vertices, normals, size, device
        As in `texels_of`.
    rows : int or None
        Of a band; by the size of the atlas when not given.
    """

    def __init__(
        self,
        layout: SurfaceLayout,
        vertices: NDArray[np.floating],
        normals: NDArray[np.floating],
        size: int,
        *,
        rows: int | None = None,
        device: str | None = None,
    ) -> None:
        self.size = size
        self.starts = range(0, size, rows or max(1, TEXELS_OF_BAND // size))
        self._vertices, self._normals, self._device = vertices, normals, device
        self._screen, self._faces = layout_screen(layout.uv), layout.faces
        self._corners = layout.sources[layout.faces]
        heights = (self._screen[:, 1] + 1) / 2 * size
        self._lowest = heights[self._faces].min(axis=1)
        self._highest = heights[self._faces].max(axis=1)

    def band(self, start: int) -> TexelMap:
        """Find the texels of the band that starts with a row."""
        end = min(start + self.starts.step, self.size)
        faces = np.flatnonzero((self._highest >= start) & (self._lowest <= end))
        screen = self._screen.copy()
        screen[:, 1] = ((screen[:, 1] + 1) * self.size - 2 * start) / (end - start) - 1
        found = rasterise(
            screen,
            self._faces[faces],
            end - start,
            self.size,
            PixelRule.CENTRED,
            device=self._device,
        )
        places = np.flatnonzero(found.face_ids)
        numbers = found.face_ids.reshape(-1).take(places) - 1
        weights = found.barycentric.reshape(-1, 3).take(places, axis=0)
        corners = self._corners[faces]
        rows, columns = np.divmod(places.astype(np.int32), np.int32(self.size))
        return TexelMap(
            self.size,
            rows + np.int32(start),
            columns,
            interpolate_on_faces(self._vertices, corners, numbers, weights),
            _unit(interpolate_on_faces(self._normals, corners, numbers, weights)),
            faces.astype(np.int32)[numbers],
            weights,
        )


def layout_screen(uv: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return texture coordinates as places on a screen of depth 0, (n, 3) float64."""
    places = np.asarray(uv, dtype=np.float64) * [2.0, -2.0] + [-1.0, 1.0]
    return np.concatenate([places, np.zeros((len(places), 1))], axis=1)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring vectors to length 1, in place."""
    lengths = np.sqrt(np.einsum("kc,kc->k", vectors, vectors))
    vectors /= np.maximum(lengths, np.float32(1e-12))[:, None]
    return vectors
