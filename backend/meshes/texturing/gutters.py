"""What lies between the charts of an atlas: their own colours carried on, then a soft mean.

Renderers interpolate across the borders of charts and average far across them in smaller copies
of a texture; without gutters the background would shine through along seams.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.texel_map import TexelMap

TEXELS_PER_PADDING = 128  # one texel of padding for each so many of the atlas
_LEAST_PADDING = 2
_MOST_CHANNELS = 4  # of cv2
PIXELS_OF_BAND = 1 << 19  # few enough for memory to be used again and again
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
    picture = np.zeros((texels.size, texels.size, colours.shape[1]), dtype=np.uint8)
    levels = np.rint(np.clip(colours, 0, 1) * np.float32(255)).astype(np.uint8)
    picture[texels.rows, texels.columns] = levels
    fill_gutters(picture, texels.covered, padding_px=padding_px)
    return picture


def fill_gutters(
    picture: NDArray[np.uint8], covered: NDArray[np.bool_], *, padding_px: int | None = None
) -> None:
    """Colour what lies between charts, in place.

    Parameters
    ----------
    picture : (size, size, c) uint8
        Changed where nothing is covered, which must be black.
    covered : (size, size) bool
    padding_px : int or None
        As in `with_gutters`.
    """
    if not covered.any():
        return
    size = len(picture)
    if padding_px is None:
        padding_px = max(_LEAST_PADDING, size // TEXELS_PER_PADDING)
    rows = max(1, PIXELS_OF_BAND // size)
    near = covered.copy()
    bands = [slice(start, start + rows) for start in range(0, size, rows)]
    with ThreadPoolExecutor(cv2.getNumThreads(), thread_name_prefix="gutters") as pool:
        found = list(
            pool.map(lambda band: _padding(picture, covered, band, padding_px, near), bands)
        )
    pixels = picture.reshape(size * size, -1)
    for places, colours in found:
        pixels[places] = colours
    if near.all():
        return
    soft = _soft_background(picture, near)
    for band in bands:
        far = np.flatnonzero(~near[band]) + band.start * size
        pixels[far] = soft.reshape(pixels.shape).take(far, axis=0)


def _padding(
    picture: NDArray[np.uint8],
    covered: NDArray[np.bool_],
    band: slice,
    padding_px: int,
    near: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Find the places round charts in a band and their colours; marks them as near."""
    first = max(0, band.start - padding_px - 1)
    around = slice(first, band.stop + padding_px + 1)
    given = covered[around]
    if not given.any():
        return np.zeros(0, dtype=np.int64), np.zeros((0, picture.shape[2]), dtype=np.uint8)
    distances, labels = cv2.distanceTransformWithLabels(
        (~given).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    own = slice(band.start - first, band.stop - first)
    places = np.flatnonzero((distances[own] <= padding_px) & ~given[own])
    # Labels number the covered pixels row by row.
    sources = np.flatnonzero(given).take(labels[own].reshape(-1).take(places) - 1)
    near[band].reshape(-1)[places] = True
    width = picture.shape[1]
    return places + band.start * width, picture[around].reshape(-1, picture.shape[2])[sources]


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
        own = (share > _LEAST_WEIGHT)[..., None]
        np.divide(total, share[..., None], out=filled, where=own)
    np.clip(filled, 0, 255, out=filled)
    soft = np.rint(filled, out=filled).astype(np.uint8)
    return _each_channel(soft, (width, height), cv2.INTER_LINEAR)


def _each_channel(values: _Values, size: tuple[int, ...], method: int) -> _Values:
    """Resize pictures of any number of channels to a width and a height."""
    if values.shape[2] <= _MOST_CHANNELS:
        made = cv2.resize(values, size, interpolation=method).reshape(*size[::-1], -1)
        return np.asarray(made, dtype=values.dtype)
    resized = [
        cv2.resize(np.ascontiguousarray(channel), size, interpolation=method)
        for channel in np.moveaxis(values, 2, 0)
    ]
    return np.stack(resized, axis=2).astype(values.dtype, copy=False)
