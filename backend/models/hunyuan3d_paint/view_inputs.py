"""What a network that paints is given, and what it makes of it once. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor
from torch.utils import _pytree as pytree

from backend.models.hunyuan3d_paint.transformer_layers import BlockSight


class GuidanceRow(StrEnum):
    """What a network is shown of the picture."""

    BLANK = "blank"
    REFERENCE = "reference"
    FULL = "full"


@dataclass(frozen=True)
class ViewInputs:
    """What is known of an object before it is painted, all on the device of the weights.

    Parameters
    ----------
    normals, positions : Tensor, shape (views, 4, height, width)
        Latents of the maps, in the dtype of the weights.
    reference : mapping of str to Tensor
        As ``ReferenceUnet`` returns it.
    cameras : Tensor or None
        Shape (views,) int64, ``camera_index`` of each; for colour only.
    dino : Tensor or None
        Last hidden state of DINOv2 for the picture, shape (1, tokens, channels) in the dtype of
        the weights; for PBR only.
    voxels : sequence of Tensor, optional
        ``level_voxels``: where the tokens of each level lie; for PBR only.
    """

    normals: Tensor
    positions: Tensor
    reference: Mapping[str, Tensor]
    cameras: Tensor | None = None
    dino: Tensor | None = None
    voxels: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class PreparedViews:
    """What the calls for one row of guidance share; made by ``PaintUnet.prepare``.

    Parameters
    ----------
    maps : Tensor, shape (images, 8, height, width)
    cameras : Tensor or None
        Embedding of each view's camera, shape (images, time_width).
    sights : tuple of BlockSight
        Of each transformer.
    """

    maps: Tensor
    cameras: Tensor | None
    sights: tuple[BlockSight, ...]


pytree.register_dataclass(PreparedViews)
