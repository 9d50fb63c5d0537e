"""A texture made of two views: the picture on the front, a guess on the back.

Both are orthographic, so a vertex's texture coordinate is its pixel. Front and back lie in one
atlas, side by side for tall objects and one above the other for wide ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.catalog import BackSide
from backend.meshes.back_side import guess_back
from backend.meshes.frame import PictureFrame
from backend.meshes.masks import Mask, bounds
from backend.meshes.triangle_mesh import Normals, TriangleMesh, vertex_normals

Rgb = NDArray[np.uint8]

MARGIN_SHARE = 0.02
ERODE_SHARE = 0.006


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh split along its texture seam.

    Parameters
    ----------
    vertices : (n, 3) float32
        Positions; vertices on the seam appear twice, bit for bit alike.
    normals : (n, 3) float32
        Unit normals of the welded mesh.
    uv : (n, 2) float32
        Texture coordinates, origin at the bottom left.
    faces : (m, 3) int32
        Corners.
    texture : (h, w, 3) uint8
        Base colour.
    """

    vertices: NDArray[np.float32]
    normals: Normals
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]
    texture: Rgb


@dataclass(frozen=True)
class _Crop:
    """The part of the picture that is in the atlas, and its size there."""

    top: int
    left: int
    height: int
    width: int
    scale: float

    @property
    def stacked(self) -> bool:
        return self.width > self.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of one half in texels."""
        return max(4, round(self.width * self.scale)), max(4, round(self.height * self.scale))


def project(
    mesh: TriangleMesh,
    rgb: Rgb,
    mask: Mask,
    frame: PictureFrame,
    size_px: int,
    back_side: BackSide,
    edge_px: float = 0.0,
) -> TexturedMesh:
    """Bake the picture into an atlas of at most ``size_px`` texels a side.

    Parameters
    ----------
    mesh : TriangleMesh
        In metres.
    rgb : (h, w, 3) uint8
        Picture.
    mask : (h, w) bool
        Object in the picture.
    frame : PictureFrame
        Maps metres to pixels of *this* picture.
    size_px : int
        Longest side of the atlas.
    back_side : BackSide
        How the unseen side is coloured.
    edge_px : float
        How far object and background run into each other; more than 1 in enlarged pictures.
    """
    crop = _crop(mask, size_px)
    front = push_outwards(rgb, mask, edge_px)
    back = front
    if back_side is not BackSide.MIRROR:
        back = guess_back(front, mask, plain=back_side is BackSide.PLAIN)
    halves = [_cut(image, crop) for image in (front, back)]
    texture = np.concatenate(halves, axis=0 if crop.stacked else 1)
    return _split(mesh, frame.to_pixels(mesh.vertices), crop, np.ascontiguousarray(texture))


def push_outwards(rgb: Rgb, mask: Mask, edge_px: float = 0.0) -> Rgb:
    """Replace everything outside the slightly eroded mask by the nearest colour inside.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) bool
    edge_px : float
        Erode at least this far.
    """
    radius = max(1, round(ERODE_SHARE * max(mask.shape)), round(edge_px))
    core = _distance_to_edge(mask) > radius
    far = _distance_to_edge(~core) > 2 * radius + 2
    core |= mask & far  # strands that were eroded away keep their own colours
    _, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    pushed: Rgb = rgb[nearest[0], nearest[1]]
    return pushed


def _distance_to_edge(mask: Mask) -> NDArray[np.float32]:
    """Distance of each pixel of the mask to its edge, to a few hundredths of a pixel."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _crop(mask: Mask, size_px: int) -> _Crop:
    top, bottom, left, right = bounds(mask)
    margin = max(2, round(MARGIN_SHARE * max(bottom - top, right - left)))
    top, left = max(0, top - margin), max(0, left - margin)
    bottom, right = min(mask.shape[0], bottom + margin), min(mask.shape[1], right + margin)
    height, width = bottom - top, right - left
    longest = max(2 * height, width) if width > height else max(height, 2 * width)
    return _Crop(top, left, height, width, size_px / longest)


def _cut(image: Rgb, crop: _Crop) -> Rgb:
    part = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    method = cv2.INTER_AREA if crop.scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, crop.size, interpolation=method), dtype=np.uint8)


def _split(
    mesh: TriangleMesh, pixels: NDArray[np.float64], crop: _Crop, texture: Rgb
) -> TexturedMesh:
    """Give front and back faces their own vertices and texture coordinates."""
    across = (pixels[:, 0] + 0.5 - crop.left) / crop.width
    down = (pixels[:, 1] + 0.5 - crop.top) / crop.height
    half = np.array(crop.size, dtype=np.float64)
    inset = 0.5 / half  # keep half a texel away from the other half
    place = np.clip(np.stack([across, down], axis=1), inset, 1 - inset)
    offset = np.array([0.0, 1.0]) if crop.stacked else np.array([1.0, 0.0])
    halves = np.array([1.0, 2.0]) if crop.stacked else np.array([2.0, 1.0])
    uv = np.concatenate([place / halves, (place + offset) / halves])
    uv[:, 1] = 1 - uv[:, 1]
    count = len(mesh.vertices)
    is_front = mesh.vertices[mesh.faces][..., 2].mean(axis=1) >= 0
    faces = np.where(is_front[:, None], mesh.faces, mesh.faces + count)
    used, compact = np.unique(faces, return_inverse=True)
    source = used % count
    return TexturedMesh(
        mesh.vertices[source],
        vertex_normals(mesh)[source],
        uv[used].astype(np.float32),
        compact.reshape(-1, 3).astype(np.int32),
        texture,
    )
