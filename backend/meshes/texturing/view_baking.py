"""Pictures of an object baked into its texels: each texel asks each picture for its colour.

Source
------
Cosine weights, their exponent and the steepest angle as in Hunyuan3D 2.0 (Tencent 2025); one rule
for the centres of pixels and texels throughout, and occlusion by depth in floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import ParallelCamera, WeightedView
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.sampling import Picture, sample
from backend.meshes.texturing.sight import STEEPEST_DEG, look
from backend.meshes.texturing.texel_map import TexelMap

EXPONENT = 4
PIXELS_PER_ERODED = 512  # one pixel is kept from outlines for each so many of the picture
LEAST_WEIGHT = 1e-8


@dataclass(frozen=True)
class BakedView:
    """What one picture says about the texels that it shows.

    Parameters
    ----------
    texels : (j,) int64
        Positions in the texel map, ascending.
    colours : (j, c) float32
    weights : (j,) float32
        Above 0.
    """

    texels: NDArray[np.int64]
    colours: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class PaintedTexels:
    """Colours of texels.

    Parameters
    ----------
    colours : (k, c) float32
        0 where nothing is painted.
    is_painted : (k,) bool
    """

    colours: NDArray[np.float32]
    is_painted: NDArray[np.bool_]


def bake_view(
    texels: TexelMap,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    camera: ParallelCamera,
    picture: Picture,
    *,
    weight: float = 1.0,
    erosion_px: int | None = None,
    rule: PixelRule = PixelRule.CENTRED,
    device: str | None = None,
) -> BakedView:
    """Give texels the colours that a picture shows there.

    Parameters
    ----------
    texels : TexelMap
        Made of the same ``vertices``.
    vertices : (n, 3) float
        Of the mesh, in the frame of the camera.
    faces : (m, 3) int
    camera : ParallelCamera
    picture : (h, w, c) uint8 or float32
        What it took, any channels; whole numbers become 0 to 1.
    weight : float
        Of this view among others.
    erosion_px : int or None
        How many pixels to keep away from outlines; by the size of the picture when not given.
    rule : PixelRule
        Of the picture.
    device : str or None
        Where to rasterise; the processor by default.
    """
    height, width = picture.shape[:2]
    if erosion_px is None:
        erosion_px = max(1, round(max(height, width) / PIXELS_PER_ERODED))
    cosines = texels.normals @ camera.towards.astype(np.float32)
    facing = np.flatnonzero(cosines > np.cos(np.radians(STEEPEST_DEG)))
    screen = camera.screen(texels.positions[facing])
    sight = look(vertices, faces, camera, (height, width), erosion_px, rule=rule, device=device)
    seen = sight.sees(screen, cosines[facing])
    screen, facing = screen[seen], facing[seen]
    columns, rows = rule.pixels(screen[:, 0], width), rule.pixels(screen[:, 1], height)
    weights = np.float32(weight) * cosines[facing] ** EXPONENT
    return BakedView(facing, sample(picture, columns, rows), weights)


def bake_views(
    texels: TexelMap,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    views: Sequence[WeightedView],
    pictures: Sequence[Picture],
    *,
    erosion_px: int | None = None,
    device: str | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> PaintedTexels:
    """Bake several pictures, one for each view, and merge them; see `bake_view`."""

    def baked() -> Iterator[BakedView]:
        for done, (view, picture) in enumerate(zip(views, pictures, strict=True), start=1):
            yield bake_view(
                texels,
                vertices,
                faces,
                view.camera,
                picture,
                weight=view.weight,
                erosion_px=erosion_px,
                device=device,
            )
            if tell:
                tell(done, len(views))

    channels = pictures[0].shape[2] if pictures else 3
    return merge_views(baked(), len(texels), channels)


def merge_views(views: Iterable[BakedView], texels: int, channels: int) -> PaintedTexels:
    """Average by weight what several pictures say.

    Parameters
    ----------
    views : iterable of BakedView
        Taken one after the other; only their sum is held.
    texels : int
        How many there are.
    channels : int
    """
    colours = np.zeros((texels, channels), dtype=np.float32)
    weights = np.zeros(texels, dtype=np.float32)
    for view in views:
        colours[view.texels] += view.colours * view.weights[:, None]
        weights[view.texels] += view.weights
    is_painted = weights > LEAST_WEIGHT
    colours /= np.where(is_painted, weights, np.float32(1))[:, None]
    return PaintedTexels(colours, is_painted)
