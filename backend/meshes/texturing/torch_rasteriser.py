"""The rasteriser of a GPU: every pixel in the box of every face, the nearest kept by scattering.

Source: the classic depth buffer (Catmull 1974), with depth and face packed in one number so that
``scatter_reduce`` with ``amin`` takes both at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.meshes.texturing.fragments import Fragments
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.screen_faces import DEPTH_STEPS, INSIDE, ScreenFaces

PAIRS_PER_CHUNK = 1 << 21
_EMPTY = torch.iinfo(torch.int64).max
_FACE_BITS = 32


def rasterise(
    faces: ScreenFaces, height: int, width: int, rule: PixelRule, device: str
) -> Fragments:
    """Find the nearest face on each pixel.

    Parameters
    ----------
    faces : ScreenFaces
    height, width : int
        Pixels.
    rule : PixelRule
    device : str
        Of torch.
    """
    if not len(faces):
        return Fragments(
            np.zeros((height, width), dtype=np.int32),
            np.zeros((height, width, 3), dtype=np.float32),
        )
    x = torch.from_numpy(rule.centres(width)).to(device)
    y = torch.from_numpy(rule.centres(height)).to(device)
    corners = torch.from_numpy(faces.corners).to(device)
    nearest = _nearest(corners, faces.depth_range(), x, y)
    pixels = torch.nonzero(nearest != _EMPTY).squeeze(1)
    chosen = nearest[pixels] & ((1 << _FACE_BITS) - 1)
    ids = torch.zeros(height * width, dtype=torch.int32, device=device)
    weights = torch.zeros((height * width, 3), dtype=torch.float32, device=device)
    numbers = torch.from_numpy(faces.numbers).to(device)
    for part in range(0, len(pixels), PAIRS_PER_CHUNK):
        here, face = pixels[part : part + PAIRS_PER_CHUNK], chosen[part : part + PAIRS_PER_CHUNK]
        inside, _ = _barycentric(corners[face], x[here % width], y[here // width])
        ids[here] = (numbers[face] + 1).int()
        clipped = inside.clamp(0, 1)
        weights[here] = (clipped / clipped.sum(dim=1, keepdim=True)).float()
    return Fragments(
        ids.reshape(height, width).cpu().numpy(), weights.reshape(height, width, 3).cpu().numpy()
    )


def _nearest(corners: Tensor, depths: tuple[float, float], x: Tensor, y: Tensor) -> Tensor:
    """Return depth and face of the nearest face per pixel, (h * w,) int64, in chunks of pairs."""
    nearest = torch.full((len(x) * len(y),), _EMPTY, dtype=torch.int64, device=x.device)
    left, across = _boxes(corners[..., 0], x)
    top, down = _boxes(corners[..., 1], y)
    ends = torch.cumsum(across * down, dim=0)
    scale = DEPTH_STEPS / max(depths[1] - depths[0], 1e-300)
    total = int(ends[-1])
    for start in range(0, total, PAIRS_PER_CHUNK):
        stop = min(start + PAIRS_PER_CHUNK, total)
        pairs = torch.arange(start, stop, device=x.device)
        face = torch.searchsorted(ends, pairs, right=True)
        within = pairs - (ends - across * down)[face]
        column = left[face] + within % across[face]
        row = top[face] + torch.div(within, across[face], rounding_mode="floor")
        weights, depth = _barycentric(corners[face], x[column], y[row])
        inside = weights.amin(dim=1) >= -INSIDE
        step = ((depth - depths[0]) * scale).clamp(0, DEPTH_STEPS).long()
        key = (step << _FACE_BITS) | face
        pixel = row * len(x) + column
        nearest.scatter_reduce_(0, pixel[inside], key[inside], reduce="amin")
    return nearest


def _boxes(places: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first line of pixels in the box of each face, and how many there are."""
    low = torch.searchsorted(centres, places.amin(dim=1) - 1e-9)
    high = torch.searchsorted(centres, places.amax(dim=1) + 1e-9)
    return low, high - low


def _barycentric(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Do what `screen_faces.barycentric` does."""
    ax, bx, cx = (corners[..., 0] - x[:, None]).unbind(1)
    ay, by, cy = (corners[..., 1] - y[:, None]).unbind(1)
    parts = torch.stack([bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx], dim=1)
    weights = parts / parts.sum(dim=1, keepdim=True)
    return weights, (weights * corners[..., 2]).sum(dim=1)
