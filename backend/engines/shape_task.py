"""What shape engines take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog import FieldDecoder, Preset, ShapeMode
from backend.meshes.masks import Mask
from backend.meshes.triangle_mesh import TriangleMesh

Rgba = NDArray[np.uint8]


@dataclass(frozen=True)
class NetworkWishes:
    """What was asked of an engine that runs networks; what is None follows from the preset.

    Parameters
    ----------
    model : str or None
        One of ``backend.models.checkpoints.catalogue``.
    steps : int or None
        Calls of the denoiser.
    guidance : float or None
        How much more than it was trained to the network heeds the picture.
    cells : int or None
        Cells of the grid along each side, on which the shape is read off.
    decoder : FieldDecoder
    """

    preset: Preset = Preset.STANDARD
    model: str | None = None
    steps: int | None = None
    guidance: float | None = None
    cells: int | None = None
    decoder: FieldDecoder = FieldDecoder.FULL


@dataclass(frozen=True)
class ShapeTask:
    """A cut-out picture at working size.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) bool
    mode : ShapeMode
        How to guess the depth.
    resolution : int
        Grid cells on the long side, for engines without networks.
    depth_scale : float
        Thickness relative to the guess.
    seed : int
        Of this item alone, whatever batch it runs in; for engines that draw numbers.
    views : mapping of str to (h, w, 4) uint8
        The object cut out of its pictures at full size: 'front', and others by their side.
    wishes : NetworkWishes
        For engines with networks.
    """

    rgb: NDArray[np.uint8]
    mask: Mask
    mode: ShapeMode
    resolution: int
    depth_scale: float = 1.0
    seed: int = 0
    views: Mapping[str, Rgba] = field(default_factory=dict)
    wishes: NetworkWishes = NetworkWishes()


@dataclass(frozen=True)
class Shape:
    """A closed surface in pixels (x right, y down, z to the viewer), and how it was made.

    Parameters
    ----------
    mode : ShapeMode or None
        None where the depth was not guessed from the outline.
    follows_outline : bool
        Its outline from the front is that of the picture. A network sees the object from a camera
        of its own, so its outline only resembles it.
    facts : dict
        JSON-ready: which model, with which settings.
    """

    mesh: TriangleMesh
    mode: ShapeMode | None
    notice: str
    follows_outline: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
