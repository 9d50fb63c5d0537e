"""Splits a material's map of roughness and metal into the two that OBJ files name."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.source_mesh import Material
from backend.meshes.textured_mesh import METALLIC_CHANNEL, ROUGHNESS_CHANNEL


@dataclass(frozen=True)
class ShineMaps:
    """What a map says, multiplied by the factors of its material.

    Parameters
    ----------
    roughness, metallic : (h, w) uint8
    """

    roughness: NDArray[np.uint8]
    metallic: NDArray[np.uint8]


def shine_maps(look: Material) -> ShineMaps | None:
    """Return the maps of a material; None where it has none, or one that cannot be decoded."""
    if look.metallic_roughness is None:
        return None
    try:
        with Image.open(io.BytesIO(look.metallic_roughness.data)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return ShineMaps(
        _scaled(pixels[..., ROUGHNESS_CHANNEL], look.roughness),
        _scaled(pixels[..., METALLIC_CHANNEL], look.metallic),
    )


def mean_shine(look: Material) -> tuple[float, float]:
    """Return how metallic and how rough a material is on average, each from 0 to 1."""
    maps = shine_maps(look)
    if maps is None:
        return look.metallic, look.roughness
    return float(maps.metallic.mean()) / 255, float(maps.roughness.mean()) / 255


def _scaled(channel: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(np.clip(channel * factor, 0, 255)).astype(np.uint8)
    return scaled
