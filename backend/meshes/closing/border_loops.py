"""The loops along which a surface ends."""

from __future__ import annotations

import numpy as np

from backend.meshes.closing.half_edges import Indices
from backend.meshes.closing.joined_surface import JoinedSurface


def border_loops(surface: JoinedSurface) -> list[Indices]:
    """List the fans along each border, in the direction of the faces there."""
    start = surface.faces.reshape(-1)[surface.borders]
    stop = np.roll(surface.faces, -1, axis=1).reshape(-1)[surface.borders]
    following = dict(zip(start.tolist(), stop.tolist(), strict=True))
    loops = []
    while following:
        first, fan = following.popitem()
        loop = [first]
        while fan != first:
            loop.append(fan)
            fan = following.pop(fan)
        loops.append(np.array(loop, dtype=np.int64))
    return loops[::-1]
