"""What lies between the charts of an atlas: their own colours carried on, then a soft mean.

Renderers interpolate across the borders of charts and average far across them in smaller copies
of a texture; without gutters the background would shine through along seams.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.texel_map import TexelMap

TEXELS_PER_PADDING = 128  # one texel of padding for each so many of the atlas
_LEAST_PADDING = 2
_LEAST_WEIGHT = np.float32(1e-12)
_Values = TypeVar("_Values", NDArray[np.uint8], NDArray[np.float32])


def with_gutters(
    texels: TexelMap, colours: NDArray[np.float32], *, padding_px: int | None = None
) -> NDArray[np.uint8]:
    """Lay colours out as a texture without holes.

    Parameters
    ----------
    texels : TexelMap
    colours : (k, c) float32
        Of these texels, from 0 to 1.
    padding_px : int or None
        How far the colours of charts are carried on; by the size of the atlas when not given.

    Returns
    -------
    (size, size, c) uint8
        Without any texel: black.
    """
    size = texels.size
    levels = np.rint(np.clip(colours, 0, 1) * np.float32(255)).astype(np.uint8)
    picture = np.zeros((size, size, colours.shape[1]), dtype=np.uint8)
    if not len(texels):
        return picture
    if padding_px is None:
        padding_px = max(_LEAST_PADDING, size // TEXELS_PER_PADDING)
    empty = np.ones((size, size), dtype=np.uint8)
    empty[texels.rows, texels.columns] = 0
    # Labels number the texels that are not empty row by row, as a texel map does.
    distances, labels = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    near = distances <= padding_px
    picture[near] = levels[labels[near] - 1]
    if not near.all():
        picture[~near] = _soft_background(picture, near)[~near]
    return picture


def _soft_background(picture: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill what is not known, which is black, from ever smaller copies, (h, w, c) uint8.

    Source
    ------
    Pull-push: Gortler, Grzeszczuk, Szeliski and Cohen 1996, "The Lumigraph".
    """
    height, width = known.shape
    half = (max(1, width // 2), max(1, height // 2))  # as fine as a background need be
    sums = [_each_channel(picture, half, cv2.INTER_AREA).astype(np.float32)]
    weights = [cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)]
    while max(weights[-1].shape) > 1:
        smaller = tuple(-(-side // 2) for side in weights[-1].shape[::-1])
        sums.append(_each_channel(sums[-1], smaller, cv2.INTER_AREA))
        weights.append(cv2.resize(weights[-1], smaller, interpolation=cv2.INTER_AREA))
    filled = sums[-1] / np.maximum(weights[-1], _LEAST_WEIGHT)[..., None]
    for total, share in zip(sums[-2::-1], weights[-2::-1], strict=True):
        filled = _each_channel(filled, share.shape[::-1], cv2.INTER_LINEAR)
        own = share > _LEAST_WEIGHT
        filled[own] = total[own] / share[own, None]
    soft = np.rint(np.clip(filled, 0, 255)).astype(np.uint8)
    return _each_channel(soft, (width, height), cv2.INTER_LINEAR)


def _each_channel(values: _Values, size: tuple[int, ...], method: int) -> _Values:
    """Resize channels to a width and a height one by one, for cv2 takes four at most."""
    resized = [
        cv2.resize(np.ascontiguousarray(channel), size, interpolation=method)
        for channel in np.moveaxis(values, 2, 0)
    ]
    return np.stack(resized, axis=2).astype(values.dtype, copy=False)
