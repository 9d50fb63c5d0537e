"""Pictures of the directions and the places of a surface, for networks that paint views of it.

Source
------
Layouts of Hunyuan3D-Paint 2.0 and 2.1 (Tencent 2025): axes are exchanged to (x, -z, y), values
cut to 8 bits, the background white, and pictures reduced with a bicubic filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.texturing.cameras import ParallelCamera
from backend.meshes.texturing.fragments import Fragments, interpolate_covered
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.screen_faces import PUBLISHED_DEPTHS
from backend.meshes.texturing.unit_frame import SPREAD

RENDER_PX = 2048
RULE = PixelRule.CORNER_ALIGNED


class NormalKind(StrEnum):
    """Whose normals a map shows: those of vertices, interpolated (2.0), or of faces (2.1)."""

    SMOOTH = "smooth"
    FLAT = "flat"


@dataclass(frozen=True)
class ViewMaps:
    """What a network is told about one view.

    Parameters
    ----------
    normals : (h, w, 3) uint8
    positions : (h, w, 3) uint8
    """

    normals: NDArray[np.uint8]
    positions: NDArray[np.uint8]


def render_maps(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    cameras: Sequence[ParallelCamera],
    kind: NormalKind,
    *,
    size_px: int,
    render_px: int = RENDER_PX,
    device: str | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> list[ViewMaps]:
    """Render the maps of several views.

    Parameters
    ----------
    vertices : (n, 3) float
        In the unit frame; split along the seams of the texture, as networks saw them.
    faces : (m, 3) int
        Corners counter-clockwise from outside.
    cameras : sequence of ParallelCamera
    kind : NormalKind
    size_px : int
        Side of the maps.
    render_px : int
        Side they are rendered with before they are resized.
    device : str or None
        Where to rasterise; the processor by default.
    tell : callable, optional
        Called with how many views are done and how many there are.
    """
    directions = face_normals(vertices, faces)
    if kind is NormalKind.SMOOTH:
        directions = mean_normals(directions, faces, len(vertices))
    maps = []
    for done, camera in enumerate(cameras, start=1):
        screen = camera.screen(vertices)
        fragments = rasterise(
            screen, faces, render_px, render_px, RULE, depths=PUBLISHED_DEPTHS, device=device
        )
        maps.append(
            ViewMaps(
                resized(normal_picture(fragments, directions, faces, kind), size_px),
                resized(position_picture(fragments, vertices, faces), size_px),
            )
        )
        if tell:
            tell(done, len(cameras))
    return maps


def normal_picture(
    fragments: Fragments,
    directions: NDArray[np.floating],
    faces: NDArray[np.integer],
    kind: NormalKind,
) -> NDArray[np.uint8]:
    """Show the directions of faces (flat) or of vertices (smooth), one row for each, (h, w, 3)."""
    if kind is NormalKind.FLAT:
        normals = directions[fragments.face_ids[fragments.covered] - 1]
    else:
        normals = interpolate_covered(directions, faces, fragments)
    return _picture(fragments, (_exchanged(normals) + 1) / 2)


def position_picture(
    fragments: Fragments, vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Show where the surface lies in the unit frame, (h, w, 3)."""
    places = interpolate_covered(vertices, faces, fragments)
    return _picture(fragments, _exchanged(places) / SPREAD + 0.5)


def resized(picture: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize a square picture as the networks' authors did."""
    if picture.shape[0] == size_px:
        return picture
    image = Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def face_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the outward unit normal of each face, 0 for faces without area, (m, 3) float64."""
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    return _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))


def mean_normals(
    of_faces: NDArray[np.float64], faces: NDArray[np.integer], vertices: int
) -> NDArray[np.float64]:
    """Return the normalised mean of the faces round each vertex, each counting once, (n, 3)."""
    total = np.zeros((vertices, 3))
    for corner in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(
                faces[:, corner], weights=of_faces[:, axis], minlength=vertices
            )
    return _unit(total)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-300))


def _exchanged(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.stack([vectors[:, 0], -vectors[:, 2], vectors[:, 1]], axis=1)


def _picture(fragments: Fragments, shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut values from 0 to 1 of the covered pixels to 8 bits; white elsewhere."""
    picture = np.full((*fragments.face_ids.shape, 3), 255, dtype=np.uint8)
    picture[fragments.covered] = (np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return picture
