"""How the published programs bake pictures of views into a texture; not what the product does.

Written from a description of them, to be compared with what they recorded and as the other side
of measurements. Pixels and texels are aligned at the corners of their pictures.

Source
------
Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets Generation (2025),
which splats pixels forwards; Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with
Production-Ready PBR Material (2025), which looks up the pixel of each texel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import OrthographicCamera
from backend.meshes.texturing.fragments import Fragments, interpolate
from backend.meshes.texturing.texel_map import layout_screen
from backend.meshes.texturing.view_maps import NormalKind, face_normals, mean_normals
from bench.parity.published_raster import published_fragments

STEEPEST_DEG = 75.0
EXPONENT = 4
EDGE_THRESHOLDS = (30, 80)
DEPTH_TOLERANCE = 3e-3
PAINTED_ENOUGH = 0.99
LEAST_WEIGHT = 1e-8

Values = NDArray[np.float32]


@dataclass(frozen=True)
class PublishedSurface:
    """A mesh that is split along the seams of its texture.

    Parameters
    ----------
    vertices : (n, 3) float
        In the unit frame.
    faces : (m, 3) int
    uv : (n, 2) float
        Origin at the bottom left.
    texture_px : int
    """

    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]
    uv: NDArray[np.floating]
    texture_px: int

    @cached_property
    def texels(self) -> Fragments:
        """The faces on the texture."""
        return published_fragments(layout_screen(self.uv), self.faces, self.texture_px)

    @cached_property
    def texel_places(self) -> Values:
        """Where texels lie in the unit frame, (texture_px, texture_px, 3)."""
        return interpolate(self.vertices, self.faces, self.texels)

    @cached_property
    def flat_normals(self) -> NDArray[np.float64]:
        """Normals of faces, (m, 3)."""
        return face_normals(self.vertices, self.faces)

    @cached_property
    def smooth_normals(self) -> NDArray[np.float64]:
        """Normals of vertices, (n, 3)."""
        return mean_normals(self.flat_normals, self.faces, len(self.vertices))


@dataclass(frozen=True)
class PublishedView:
    """A picture of a surface, and which of its pixels are used.

    Parameters
    ----------
    fragments : Fragments
    depths : (s, s) float32
    cosines : (s, s) float32
        0 where the surface is too steep.
    is_used : (s, s) bool
        Whether a pixel is far enough from edges.
    """

    fragments: Fragments
    depths: Values
    cosines: Values
    is_used: NDArray[np.bool_]


@dataclass(frozen=True)
class BakedTexture:
    """What one picture gives.

    Parameters
    ----------
    colours : (t, t, c) float32
    weights : (t, t) float32
        0 where it gives nothing.
    """

    colours: Values
    weights: Values


def seen_view(
    surface: PublishedSurface,
    camera: OrthographicCamera,
    side_px: int,
    kind: NormalKind,
    erosion_px: int,
) -> PublishedView:
    """Look at a surface and leave out steep places and edges."""
    screen = camera.screen(surface.vertices)
    fragments = published_fragments(screen, surface.faces, side_px)
    covered = fragments.covered
    towards = camera.towards
    if kind is NormalKind.SMOOTH:
        normals = interpolate(surface.smooth_normals, surface.faces, fragments)
        lengths = np.linalg.norm(normals, axis=2)
        cosines = normals @ towards / np.maximum(lengths, 1e-12)
    else:
        cosines = np.zeros(covered.shape)
        cosines[covered] = (surface.flat_normals @ towards)[fragments.face_ids[covered] - 1]
    cosines[cosines < np.cos(np.radians(STEEPEST_DEG))] = 0
    depths = interpolate(screen[:, 2:], surface.faces, fragments)[..., 0]
    used = _away_from_edges(depths, covered, erosion_px)
    return PublishedView(fragments, depths, cosines.astype(np.float32), used)


def _away_from_edges(
    depths: Values, covered: NDArray[np.bool_], erosion_px: int
) -> NDArray[np.bool_]:
    """Leave out what is near outlines and near edges in a picture of the depth."""
    picture = np.zeros(depths.shape, dtype=np.uint8)
    if covered.any():
        near, far = depths[covered].min(), depths[covered].max()
        picture[covered] = (far - depths[covered]) / max(far - near, 1e-12) * 255
    square = np.ones((2 * erosion_px + 1, 2 * erosion_px + 1), dtype=np.uint8)
    edges = cv2.dilate(cv2.Canny(picture, *EDGE_THRESHOLDS), square) > 0
    inside = cv2.erode(covered.astype(np.uint8), square) > 0
    return np.asarray(inside & ~edges)


def splatted(
    surface: PublishedSurface, view: PublishedView, picture: Values, weight: float
) -> BakedTexture:
    """Add each pixel to the four texels round its place (2.0).

    Parameters
    ----------
    surface, view
    picture : (s, s, c) float32
    weight : float
        Of the view among others.
    """
    size, channels = surface.texture_px, picture.shape[2]
    taken = view.is_used
    uv = interpolate(surface.uv, surface.faces, view.fragments)[taken].astype(np.float64)
    columns, rows = uv[:, 0] * (size - 1), (1 - uv[:, 1]) * (size - 1)
    values = np.concatenate([picture[taken], view.cosines[taken][:, None]], axis=1)
    total, sums = np.zeros((size * size, channels + 1)), np.zeros(size * size)
    for down in (0, 1):
        for right in (0, 1):
            row, column = np.floor(rows) + down, np.floor(columns) + right
            share = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
            texel = (row.clip(0, size - 1) * size + column.clip(0, size - 1)).astype(np.int64)
            sums += np.bincount(texel, share, size * size)
            for channel in range(channels + 1):
                total[:, channel] += np.bincount(texel, share * values[:, channel], size * size)
    total /= np.where(sums > 0, sums, 1)[:, None]
    found = total.reshape(size, size, channels + 1).astype(np.float32)
    return BakedTexture(found[..., :-1], np.float32(weight) * found[..., -1] ** EXPONENT)


def looked_up(
    surface: PublishedSurface,
    camera: OrthographicCamera,
    view: PublishedView,
    picture: Values,
    weight: float,
) -> BakedTexture:
    """Look up the pixels that show each texel (2.1); their centres are taken to be elsewhere.

    Parameters
    ----------
    surface, camera, view
    picture : (s, s, c) float32
    weight : float
        Of the view among others.
    """
    size, side = surface.texture_px, picture.shape[0]
    colours = np.zeros((size, size, picture.shape[2]), dtype=np.float32)
    weights = np.zeros((size, size), dtype=np.float32)
    covered = surface.texels.covered
    screen = camera.screen(surface.texel_places[covered])
    places = (screen[:, :2] * 0.5 + 0.5) * side
    pixels = np.floor(places).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < side)).all(axis=1)
    column, row = pixels.clip(0, side - 1).T
    cosines = np.where(view.is_used, view.cosines, 0)[row, column]
    is_near = np.abs(view.depths[row, column] - screen[:, 2]) < DEPTH_TOLERANCE
    taken = inside & is_near & (cosines > 0)
    texels = np.flatnonzero(covered)[taken]
    colours.reshape(size * size, -1)[texels] = _between(picture, places[taken])
    weights.reshape(-1)[texels] = np.float32(weight) * cosines[taken] ** EXPONENT
    return BakedTexture(colours, weights)


def _between(picture: Values, places: NDArray[np.float64]) -> Values:
    """Interpolate between a pixel and its neighbours to the right and below."""
    side = picture.shape[0]
    column, row = np.floor(places).astype(np.int64).T
    right, down = (places - np.floor(places)).astype(np.float32).T
    beside, below = np.minimum(column + 1, side - 1), np.minimum(row + 1, side - 1)
    upper = picture[row, column] * (1 - right)[:, None] + picture[row, beside] * right[:, None]
    lower = picture[below, column] * (1 - right)[:, None] + picture[below, beside] * right[:, None]
    return np.asarray(upper * (1 - down)[:, None] + lower * down[:, None])


def merged(views: Iterable[BakedTexture]) -> tuple[Values, NDArray[np.bool_]]:
    """Average by weight, leaving out views that hardly add a texel.

    Returns
    -------
    colours : (t, t, c) float32
    is_painted : (t, t) bool
    """
    total: Values | None = None
    sums: Values | None = None
    for view in views:
        if total is None or sums is None:
            total, sums = np.zeros_like(view.colours), np.zeros_like(view.weights)
        adds = view.weights > 0
        if ((sums > 0) & adds).sum() > PAINTED_ENOUGH * adds.sum():
            continue
        total += view.colours * view.weights[..., None]
        sums += view.weights
    if total is None or sums is None:
        raise ValueError("no views to merge")
    mean = total / np.maximum(sums, np.float32(LEAST_WEIGHT))[..., None]
    return np.asarray(mean, dtype=np.float32), sums > LEAST_WEIGHT
