"""Colours of parts: apart from each other for most eyes, and the same whatever the number."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from backend.meshes.reading.vertex_colors import to_linear, to_srgb

PALETTE_SIZE = 256
LIGHTNESSES = (0.45, 0.53, 0.61, 0.69, 0.77, 0.85)
CHROMAS = (0.09, 0.13, 0.17, 0.21)
HUES = 48
FIRST = (0.61, 0.15, 255.0)
"""Lightness, chroma and hue (degrees) of part 0: a blue, which no common colour blindness dims."""

# Rows of linear red, green, blue as dichromats see them.
# Source: Machado, Oliveira, Fernandes 2009, table 1, severity 1.0.
_PROTAN = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
_DEUTAN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
# Source: Ottosson 2020, "A perceptual color space for image processing" (Oklab).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def part_color(part: int) -> str:
    """Colour of a part as ``#rrggbb``; numbers beyond the palette begin again."""
    return palette()[part % PALETTE_SIZE]


@cache
def palette() -> tuple[str, ...]:
    """Return the colours of parts 0 to 255, each as far from all before it as can be.

    The distance of two colours is that in Oklab: half as normal eyes see it, half as those see
    it who see the least of it, with normal, protanopic or deuteranopic eyes. Every number of
    parts takes colours from the front.
    """
    linear = _candidates()
    seen = np.stack([_oklab(linear @ eye.T) for eye in (np.eye(3), _PROTAN, _DEUTAN)])
    chosen = [0]
    gap = _distances(seen, 0)
    while len(chosen) < PALETTE_SIZE:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, _distances(seen, chosen[-1]))
    return tuple(f"#{bytes(shade[:3]).hex()}" for shade in to_srgb(linear[chosen]))


def rgb_of(color: str) -> tuple[int, int, int]:
    """Read ``#rrggbb`` as three numbers from 0 to 255."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def linear_of(color: str) -> tuple[float, float, float]:
    """Read ``#rrggbb`` as linear red, green and blue from 0 to 1."""
    shade = np.array([[*rgb_of(color), 255]], dtype=np.uint8)
    red, green, blue, _ = (to_linear(shade)[0] / 65535).tolist()
    return red, green, blue


def _candidates() -> NDArray[np.float64]:
    """Linear colours to choose from, (n, 3), that screens can show; ``FIRST`` is the first."""
    hues = np.arange(HUES) * (360.0 / HUES)
    grid = np.stack(np.meshgrid(LIGHTNESSES, CHROMAS, hues, indexing="ij"), axis=-1)
    polar = np.concatenate([[FIRST], grid.reshape(-1, 3)])
    lightness, chroma, hue = polar.T
    angle = np.radians(hue)
    oklab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    cones = (oklab @ np.linalg.inv(_TO_OKLAB).T) ** 3
    linear = cones @ np.linalg.inv(_TO_CONES).T
    shown = ((linear >= 0) & (linear <= 1)).all(axis=1)
    return np.asarray(linear[shown])


def _oklab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cbrt(linear @ _TO_CONES.T) @ _TO_OKLAB.T)


def _distances(seen: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    """Distances of all candidates from one, (n,): half for normal eyes, half for the worst."""
    apart = np.linalg.norm(seen - seen[:, chosen : chosen + 1], axis=2)
    return np.asarray((apart[0] + apart.min(axis=0)) / 2)
