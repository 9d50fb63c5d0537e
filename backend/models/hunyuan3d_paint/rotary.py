"""Turns queries and keys by where their tokens lie in space. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from backend.models.hunyuan3d_paint.paint_config import PLACED_CHANNELS

LONGEST_PERIOD = 10_000.0
# Of eight parts of a head's channels, those of each axis.
EIGHTHS_PER_AXIS = (3, 3, 2)


@dataclass(frozen=True)
class Rotation:
    """Angles for a sequence of tokens, which stand for pairs of neighbouring channels.

    Parameters
    ----------
    cos, sin : Tensor, shape (tokens, head_width / 2) float32
    """

    cos: Tensor
    sin: Tensor


pytree.register_dataclass(Rotation)


def rotation_of(voxels: Tensor, head_width: int) -> Rotation:
    """Compute the angles of tokens from their places.

    Parameters
    ----------
    voxels : Tensor, shape (tokens, 3) int64
    head_width : int
        A multiple of ``PLACED_CHANNELS``.

    Raises
    ------
    ValueError
        The channels cannot be shared out in pairs among the axes.

    Source
    ------
    Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding (2021), with three
    eighths of the channels for each of x and y, and two for z.
    """
    if head_width % PLACED_CHANNELS:
        wanted = f"multiples of {PLACED_CHANNELS} can be shared out"
        raise ValueError(f"a head of {head_width} channels; {wanted}")
    angles = []
    for axis, eighths in enumerate(EIGHTHS_PER_AXIS):
        channels = head_width * eighths // 8
        even = torch.arange(0, channels, 2, dtype=torch.float32, device=voxels.device)
        frequencies = 1.0 / LONGEST_PERIOD ** (even / channels)
        angles.append(voxels[:, axis, None].float() * frequencies)
    joined = torch.cat(angles, dim=-1)
    return Rotation(joined.cos(), joined.sin())


def rotated(heads: Tensor, rotation: Rotation) -> Tensor:
    """Turn queries or keys.

    Parameters
    ----------
    heads : Tensor, shape (batch, heads, tokens, head_width)

    Returns
    -------
    Tensor, shape and dtype of ``heads``
        Computed in float32.
    """
    first, second = heads.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = (
        first * rotation.cos - second * rotation.sin,
        second * rotation.cos + first * rotation.sin,
    )
    return torch.stack(turned, dim=-1).flatten(-2).to(heads.dtype)
