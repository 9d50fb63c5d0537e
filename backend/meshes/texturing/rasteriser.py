"""One contract for rasterising: rows or rays on the processor, scattered pixels on a GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.fragments import Fragments, interpolate
from backend.meshes.texturing.pixel_rule import PixelRule as PixelRule
from backend.meshes.texturing.screen_faces import ScreenFaces, screen_faces


def rasterise(
    screen: NDArray[np.floating],
    faces: NDArray[np.integer],
    height: int,
    width: int,
    rule: PixelRule,
    *,
    cull: bool = False,
    depths: tuple[float, float] | None = None,
    device: str | None = None,
) -> Fragments:
    """Find the nearest face on each pixel, and where on it.

    Parameters
    ----------
    screen : (n, 3) float
        Vertices: x to the right and y down, both from -1 to 1 inside the picture, and depth,
        smaller being nearer.
    faces : (m, 3) int
    height, width : int
        Pixels.
    rule : PixelRule
        Where the centres of the pixels are.
    cull : bool
        Leave out faces whose corners run clockwise on the screen (back faces).
    depths : (float, float) or None
        Depths between which 2^20 steps are counted; those of the faces when not given.
    device : str or None
        Of torch, e.g. ``"cuda:0"``; the processor by default.

    Returns
    -------
    Fragments
        A pixel belongs to a face when its centre lies in the face or on its edge. Of faces in
        one step of the depth the one with the lowest number counts. Faces without area on the
        screen and such with corners that are not finite cover nothing.
    """
    shown = screen_faces(screen, faces, cull=cull, depths=depths)
    if device is None or device == "cpu":
        return _on_processor(shown, height, width, rule)
    from backend.meshes.texturing import torch_rasteriser

    return torch_rasteriser.rasterise(shown, height, width, rule, device)


def _on_processor(shown: ScreenFaces, height: int, width: int, rule: PixelRule) -> Fragments:
    from backend.meshes.texturing import flat_rasteriser

    if flat_rasteriser.is_suitable(shown, height, width):
        return flat_rasteriser.rasterise(shown, height, width, rule)
    from backend.meshes.texturing import ray_rasteriser

    return ray_rasteriser.rasterise(shown, height, width, rule)


def nearest_depths(
    screen: NDArray[np.floating],
    faces: NDArray[np.integer],
    height: int,
    width: int,
    rule: PixelRule,
    *,
    device: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the depth of the nearest face on each pixel; faster than `rasterise`.

    Parameters are those of `rasterise`.

    Returns
    -------
    depths : (h, w) float32
        0 where there is no face.
    is_covered : (h, w) bool
    """
    if device is None or device == "cpu":
        from backend.meshes.texturing import ray_rasteriser

        shown = screen_faces(screen, faces, cull=False)
        return ray_rasteriser.nearest_depths(shown, height, width, rule)
    fragments = rasterise(screen, faces, height, width, rule, device=device)
    return interpolate(screen[:, 2:], faces, fragments)[..., 0], fragments.covered
